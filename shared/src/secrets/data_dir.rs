//! The data directory, and the lock that keeps other processes out.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::interval;

use crate::file_place::FilePlace;
use crate::regular_file::open_regular;

/// How often it is looked up whether the directory is still in its place.
const LOOKED_UP: Duration = Duration::from_secs(1);

/// Keeps other processes of the same service out of a data directory, until it is dropped or the
/// process ends, however it ends.
#[derive(Debug)]
#[must_use]
pub struct DataDirClaim(Arc<Claimed>);

#[derive(Debug)]
struct Claimed {
    /// The lock: it is held as long as this is open.
    _file: File,
    place: FilePlace,
}

/// Whether a claimed directory is still where it was. Clones know the same.
#[derive(Clone, Debug)]
pub struct DataDirPlace(Arc<AtomicBool>);

impl DataDirClaim {
    /// Looks once a second, from the current actix system, whether the lock file is still at its
    /// path, until this is dropped.
    pub fn watch(&self) -> DataDirPlace {
        let (claimed, is_in_place) = (Arc::downgrade(&self.0), Arc::new(AtomicBool::new(true)));
        let place = DataDirPlace(Arc::clone(&is_in_place));
        actix_web::rt::spawn(async move {
            let mut seconds = interval(LOOKED_UP);
            loop {
                seconds.tick().await;
                let Some(claimed) = claimed.upgrade() else { return };
                let was_in_place =
                    is_in_place.swap(claimed.place.check().is_ok(), Ordering::Relaxed);
                if was_in_place && let Some(problem) = DataDirPlace(is_in_place.clone()).problem() {
                    tracing::error!(path = %claimed.place.path().display(), "{problem}");
                }
            }
        });
        place
    }
}

impl DataDirPlace {
    /// What to do, if it is gone, or another is in its place.
    pub fn problem(&self) -> Option<String> {
        let is_in_place = self.0.load(Ordering::Relaxed);
        (!is_in_place).then(|| {
            "the data directory was removed or replaced, and nothing is written any more: restart \
             the service"
                .to_owned()
        })
    }
}

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
        Ok(()) => {
            let place = FilePlace::of(&lock, file.metadata());
            Ok(DataDirClaim(Arc::new(Claimed { _file: file, place })))
        }
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
