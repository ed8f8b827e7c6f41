//! Why a database was not checked, or not to the end.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::cli::exit;
use crate::store_error::StoreError;

/// Why a database was not checked, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum CheckFailed {
    /// It is damaged, or no database of this version of the program: that is a finding.
    #[error("{problem}")]
    Unusable {
        /// What is wrong.
        problem: String,
        /// What can be done about it, if it is not what is done about a damaged one.
        repair: Option<&'static str>,
    },
    /// There is no such file, or it cannot be read.
    #[error("cannot read {}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The database cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database refuses: a setting or a right is wrong.
    #[error(transparent)]
    Refused(StoreError),
    /// A signal asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl CheckFailed {
    /// It is damaged, or something else.
    pub fn damaged(problem: impl Into<String>) -> Self {
        Self::Unusable { problem: problem.into(), repair: None }
    }

    /// Of opening the file at this path.
    pub fn input(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            // It is no regular file.
            ErrorKind::InvalidInput => Self::damaged(source.to_string()),
            _ => Self::Input { path: path.to_owned(), source },
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unusable { .. } => exit::DATA,
            Self::Input { .. } => exit::NO_INPUT,
            Self::Store(_) => exit::TEMPORARY,
            Self::Refused(_) => exit::CONFIG,
            Self::Interrupted => exit::INTERRUPTED,
        }
    }
}
