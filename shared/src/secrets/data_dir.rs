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
pub struct DataDirClaim {
    claimed: Arc<Claimed>,
    /// The lock of the directory around it, if it is the place of one replica.
    _shared: Option<SharedDataDir>,
}

/// Keeps processes that use the whole of a data directory out of it, until it is dropped.
#[derive(Debug)]
pub(super) struct SharedDataDir {
    _file: File,
}

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
    /// The same, for a place inside a directory that others use, too.
    pub(super) fn within(self, shared: SharedDataDir) -> Self {
        Self { _shared: Some(shared), ..self }
    }

    /// Looks once a second, from the current actix system, whether the lock file is still at its
    /// path, until this is dropped.
    pub fn watch(&self) -> DataDirPlace {
        let (claimed, is_in_place) =
            (Arc::downgrade(&self.claimed), Arc::new(AtomicBool::new(true)));
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
    /// There are too many replicas.
    #[error("all places for {service} in {} are taken", path.display())]
    AllPlacesTaken {
        /// The directory.
        path: PathBuf,
        /// The service that uses it.
        service: &'static str,
    },
    /// Replicas have run here; a process that uses the whole directory would not find their files.
    #[error(
        "replicas of {service} have used {}: start {service} there, or move the files of replica-1 \
         into the directory itself and delete replica-*", path.display()
    )]
    HasPlaces {
        /// The directory.
        path: PathBuf,
        /// The service that uses it.
        service: &'static str,
    },
    /// An earlier version was started once more after its files had been moved, or somebody has put
    /// files there.
    #[error(
        "{} would replace {}: delete the one that is not needed", from.display(), to.display()
    )]
    TwiceThere {
        /// Where it was.
        from: PathBuf,
        /// Where it belongs.
        to: PathBuf,
    },
}

/// Creates the directory and its parents, accessible only to the owner, and claims it for this
/// process. The two services may share one directory, as they do in the standalone binary.
///
/// # Errors
/// See [`DataDirError`].
pub fn claim_data_dir(path: &Path, service: &'static str) -> Result<DataDirClaim, DataDirError> {
    let (lock, file) = lock(path, service, File::try_lock)?;
    let place = FilePlace::of(&lock, file.metadata());
    Ok(DataDirClaim { claimed: Arc::new(Claimed { _file: file, place }), _shared: None })
}

/// The same, for a process that claims a place in it and leaves the other places to others.
pub(super) fn share_data_dir(
    path: &Path,
    service: &'static str,
) -> Result<SharedDataDir, DataDirError> {
    let (_, file) = lock(path, service, File::try_lock_shared)?;
    Ok(SharedDataDir { _file: file })
}

/// The lock file, locked, and its path.
fn lock(
    path: &Path,
    service: &'static str,
    try_lock: fn(&File) -> Result<(), TryLockError>,
) -> Result<(PathBuf, File), DataDirError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
    let lock = path.join(format!("{service}.lock"));
    let file = open_lock(&lock).map_err(failed(&lock))?;
    match try_lock(&file) {
        Ok(()) => Ok((lock, file)),
        Err(TryLockError::WouldBlock) => {
            Err(DataDirError::Taken { path: path.to_owned(), service })
        }
        Err(TryLockError::Error(source)) => Err(failed(&lock)(source)),
    }
}

/// An error with this path.
pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { path, source }
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
