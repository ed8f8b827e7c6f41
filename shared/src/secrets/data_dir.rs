//! The data directory, and the lock that keeps other processes out.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::regular_file::open_regular;

/// Keeps other processes of the same service out of a data directory, until it is dropped or the
/// process ends, however it ends.
#[derive(Debug)]
#[must_use]
pub struct DataDirClaim(#[expect(dead_code, reason = "kept for its Drop")] File);

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The directory, or the lock file in it, cannot be created.
    #[error("cannot use {}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Two writers of one database would disturb each other, and both would publish the same log.
    #[error("another {service} process uses {}: each needs its own DATA_DIR", path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
        /// The service that uses it.
        service: &'static str,
    },
}

/// Creates the directory and its parents, accessible only to the owner, and claims it for this
/// process. The two services may share one directory, as they do in the standalone binary.
///
/// # Errors
/// See [`DataDirError`].
pub fn claim_data_dir(path: &Path, service: &'static str) -> Result<DataDirClaim, DataDirError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DataDirError::Io { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
    let lock = path.join(format!("{service}.lock"));
    let file = open_lock(&lock).map_err(failed(&lock))?;
    match file.try_lock() {
        Ok(()) => Ok(DataDirClaim(file)),
        Err(TryLockError::WouldBlock) => {
            Err(DataDirError::Taken { path: path.to_owned(), service })
        }
        Err(TryLockError::Error(source)) => Err(failed(&lock)(source)),
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    match open_regular(&mut options, path) {
        // What is there can be read, and a file that was opened for reading can be locked.
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {
            open_regular(OpenOptions::new().read(true), path).map_err(|_| error)
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_process_of_each_service() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/data");
        let first = claim_data_dir(&path, "user_service").unwrap();
        let _other = claim_data_dir(&path, "auth_service").unwrap();
        let refused = claim_data_dir(&path, "user_service").unwrap_err();
        assert!(refused.to_string().contains("another user_service process uses"), "{refused}");
        drop(first);
        assert!(claim_data_dir(&path, "user_service").is_ok());
    }
}
