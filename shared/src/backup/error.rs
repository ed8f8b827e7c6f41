//! Why a backup or a restore failed.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::cli::exit;
use crate::secrets::DataDirError;
use crate::sqlite::CopyError;
use crate::store_error::StoreError;

/// A backup was not made, or not restored. Nothing is left that looks finished.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file is not there or cannot be read.
    #[error("cannot read {}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A database cannot be read.
    #[error("cannot read {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: StoreError,
    },
    /// A file or directory cannot be written.
    #[error("cannot write {}", path.display())]
    Output {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The copy of a database cannot be written.
    #[error("cannot write {}", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// The cause.
        source: StoreError,
    },
    /// The directory of a backup has files already.
    #[error("{} is not empty: a backup needs a directory that is empty or not there", .0.display())]
    NotEmpty(PathBuf),
    /// Both would be lost together.
    #[error("{} is inside the data directory: choose a directory outside, best on another disk", .0.display())]
    InsideDataDir(PathBuf),
    /// A restore never overwrites.
    #[error(
        "{} contains {}: a restore overwrites nothing; move that away first",
        home.display(),
        names.join(", ")
    )]
    Occupied {
        /// Where the databases would be.
        home: PathBuf,
        /// What is in the way.
        names: Vec<String>,
    },
    /// A file is not what was backed up, or cannot be used by this version.
    #[error("cannot use {}: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The service runs.
    #[error("stop the service first")]
    Running(#[source] DataDirError),
    /// A signal asked to stop.
    #[error("interrupted; nothing was kept")]
    Interrupted,
}

impl BackupError {
    pub(super) fn input(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            // It is no regular file.
            ErrorKind::InvalidInput => Self::damaged(path, source.to_string()),
            _ => Self::Input { path: path.to_owned(), source },
        }
    }

    pub(super) fn output(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Output { path: path.to_owned(), source }
    }

    pub(super) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.into() }
    }

    /// Of copying or checking a database.
    pub(super) fn of_copy(from: &Path, to: &Path) -> impl FnOnce(CopyError) -> Self {
        move |error| match error {
            CopyError::Output(source) => Self::Copy { path: to.to_owned(), source },
            CopyError::Input(source) => Self::Database { path: from.to_owned(), source },
            error @ (CopyError::Damaged(_) | CopyError::Newer(_)) => {
                Self::damaged(from, error.to_string())
            }
            CopyError::Interrupted => Self::Interrupted,
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged { .. } => exit::DATA,
            Self::Input { .. } | Self::Database { .. } => exit::NO_INPUT,
            Self::Output { .. }
            | Self::Copy { .. }
            | Self::NotEmpty(_)
            | Self::InsideDataDir(_)
            | Self::Occupied { .. } => exit::CANT_CREATE,
            Self::Running(_) => exit::TEMPORARY,
            Self::Interrupted => exit::INTERRUPTED,
        }
    }
}
