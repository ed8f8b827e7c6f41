//! Files with keys, created at the first start and readable only by their owner.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::regular_file::{directory_of, read_regular};

/// The most bytes of a file with a secret.
const SECRET_MAX: u64 = 64 * 1024;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Reading or creating it failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl KeyFileError {
    /// Whether there is no such file.
    pub(super) fn is_not_found(&self) -> bool {
        let Self::Io { source, .. } = self;
        source.kind() == ErrorKind::NotFound
    }
}

fn create_private_dir(path: &Path) -> Result<(), KeyFileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error("make", path))
}

/// Reads the file, or creates it with the output of `generate` if it does not exist.
///
/// The content is complete before the file gets its name, and the name is only taken if it is still
/// free: if two processes start at the same moment, one creates the key and both use it.
///
/// # Errors
/// It cannot be read or created.
pub fn load_or_create(
    path: &Path,
    generate: impl FnOnce() -> Vec<u8>,
) -> Result<Vec<u8>, KeyFileError> {
    let read = read_secret_file(path);
    warn_if_open(path);
    match read {
        Err(error) if error.is_not_found() => {
            create(path, &generate())?;
            let key = read_secret_file(path)?;
            tracing::info!(path = %path.display(), "made a new key");
            Ok(key)
        }
        other => other,
    }
}

/// Reads the file of a secret: a regular file of up to 64 KiB. Every mode is accepted, because
/// container engines mount secrets with their own modes.
///
/// # Errors
/// It cannot be read.
pub fn read_secret_file(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    read_regular(path, SECRET_MAX).map_err(io_error("read", path))
}

/// Warns if everybody can read the file of a secret. Not done by reading it, which may be before
/// there is a log.
pub fn warn_if_open(path: &Path) {
    // A file that is not there yet, or cannot be used, is told by whoever reads it.
    let Ok(metadata) = path.metadata() else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o004 != 0 {
        let mode = format!("{mode:04o}");
        tracing::warn!(path = %path.display(), mode, "every user of this machine can read this secret");
    }
}

fn create(path: &Path, content: &[u8]) -> Result<(), KeyFileError> {
    let directory = directory_of(path);
    create_private_dir(directory)?;
    // The temporary file has mode 0600, and is in the same directory so that giving it its name is
    // atomic.
    let mut file = NamedTempFile::new_in(directory).map_err(|error| {
        // Without the random name that the library adds: the same fault has the same text.
        io_error("write in", directory)(error.kind().into())
    })?;
    file.as_file_mut().write_all(content).map_err(io_error("write", path))?;
    file.as_file().sync_all().map_err(io_error("write", path))?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_directory(directory),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io_error("make", path)(error.error)),
    }
}

fn sync_directory(directory: &Path) -> Result<(), KeyFileError> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(io_error("write in", directory))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    move |source| KeyFileError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::test_log::logged_by;
    use std::{fs, thread};

    #[test]
    fn of_many_that_start_at_once_all_use_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/down/key");
        let threads: Vec<_> = (0..16u8)
            .map(|n| {
                let path = path.clone();
                thread::spawn(move || load_or_create(&path, || vec![n; 32]).unwrap())
            })
            .collect();
        let keys: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "leftovers");
    }

    #[test]
    fn a_key_file_and_its_directory_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/key");
        load_or_create(&path, || vec![1]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[tokio::test]
    async fn a_secret_of_any_mode_is_read_and_one_that_all_can_read_gets_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for (mode, is_open) in [(0o600, false), (0o400, false), (0o440, false), (0o444, true)] {
            let _ = fs::remove_file(&path);
            fs::write(&path, [1]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let log = logged_by(async {
                assert_eq!(load_or_create(&path, || vec![2]).unwrap(), [1]);
            })
            .await;
            assert_eq!(log.contains("can read this secret"), is_open, "{mode:o}: {log}");
        }
    }
}
