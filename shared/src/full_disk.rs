//! A disk that is full: starting on it, and finding out when it has space again.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::actors::Backoff;
use crate::store_error::StoreError;

/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(5);
/// With less than this, a disk that was full counts as full: the smallest writes find their place
/// in files that are there already, and the next one does not.
const ROOM: u64 = 1024 * 1024;

/// Opens what a service needs before it can answer anything. While the disk is too full for that,
/// logs the error and tries again: space that is made later is used without a restart.
///
/// # Errors
/// It failed for another reason than a full disk.
pub async fn open_when_there_is_space<T, E: Error + 'static>(
    mut open: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut backoff = Backoff::new("opening the data directory").with_longest(LONGEST);
    loop {
        match open().await {
            Err(error) if is_full_disk(&error) => sleep(backoff.failed(&error)).await,
            other => {
                backoff.worked();
                return other;
            }
        }
    }
}

/// Whether the error, or one of its causes, is that nothing can be written now: the disk is full or
/// read-only.
fn is_full_disk(error: &(dyn Error + 'static)) -> bool {
    let is_full = match error.downcast_ref::<io::Error>() {
        Some(io) => is_full_kind(io.kind()),
        None => matches!(error.downcast_ref(), Some(StoreError::Full(_))),
    };
    is_full || error.source().is_some_and(is_full_disk)
}

/// Whether an operation failed because nothing can be written now.
pub fn is_full_kind(kind: ErrorKind) -> bool {
    use ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(kind, QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

/// Whether there is room for some writes on the disk of this directory.
///
/// # Errors
/// There is not; or the directory cannot be asked.
pub fn check_room(directory: &Path) -> io::Result<()> {
    let disk = rustix::fs::statvfs(directory)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= ROOM { Ok(()) } else { Err(ErrorKind::StorageFull.into()) }
}

/// Whether a database can be written, as its writer finds it. The log has one line when that ends,
/// and one when it begins again.
#[derive(Debug)]
pub struct Writable {
    /// What is written, for the log.
    what: &'static str,
    is_writable: Arc<AtomicBool>,
}

impl Writable {
    /// It can be written, as far as is known.
    pub fn new(what: &'static str) -> Self {
        Self { what, is_writable: Arc::new(AtomicBool::new(true)) }
    }

    /// For those who want to know, now and later.
    pub fn watch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_writable)
    }

    /// Whether it can be written, as far as is known.
    pub fn is_writable(&self) -> bool {
        self.is_writable.load(Ordering::Relaxed)
    }

    /// A write was refused for lack of space. Returns whether this is the first.
    pub fn refused(&self, error: &StoreError) -> bool {
        let is_first = self.is_writable.swap(false, Ordering::Relaxed);
        if is_first {
            let error = error as &dyn Error;
            tracing::error!(
                error,
                "{} cannot be written; reading goes on, writing is tried again",
                self.what
            );
        }
        is_first
    }

    /// A write was made, or there is room for one.
    pub fn works(&self) {
        if !self.is_writable.swap(true, Ordering::Relaxed) {
            tracing::info!("{} can be written again", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::DataDirError;
    use crate::telemetry::test_log::logged_by;
    use std::cell::Cell;
    use std::path::PathBuf;

    fn failed(kind: ErrorKind) -> DataDirError {
        DataDirError::Io { path: PathBuf::from("/data"), source: kind.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_is_told_once_and_tried_again_until_there_is_space() {
        let tries = Cell::new(0);
        let log = logged_by(async {
            let opened = open_when_there_is_space(async || {
                tries.set(tries.get() + 1);
                if tries.get() < 4 { Err(failed(ErrorKind::StorageFull)) } else { Ok("open") }
            });
            assert_eq!(opened.await.unwrap(), "open");
        })
        .await;
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines[0].contains("cannot use /data: no storage space"), "{log}");
        assert!(lines[1].contains("opening the data directory works again"), "{log}");
    }

    #[test]
    fn a_disk_has_room_and_a_file_system_of_no_size_has_not() {
        let directory = tempfile::tempdir().unwrap();
        assert!(check_room(directory.path()).is_ok());
        let full = check_room(Path::new("/proc")).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert!(check_room(&directory.path().join("gone")).is_err());
    }

    #[tokio::test]
    async fn many_refused_writes_are_one_line_and_so_is_their_end() {
        let log = logged_by(async {
            let writable = Writable::new("the list");
            let full = StoreError::Full(Arc::new(failed(ErrorKind::StorageFull)));
            let first: Vec<bool> = (0..50).map(|_| writable.refused(&full)).collect();
            assert_eq!(first.iter().filter(|is_first| **is_first).count(), 1);
            assert!(!writable.is_writable());
            writable.works();
            writable.works();
            assert!(writable.watch().load(Ordering::Relaxed));
        })
        .await;
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines[0].contains("ERROR") && lines[0].contains("the list cannot be written"));
        assert!(lines[1].contains("the list can be written again"), "{log}");
    }

    #[tokio::test]
    async fn any_other_fault_ends_the_start() {
        let opened =
            open_when_there_is_space(async || Err::<(), _>(failed(ErrorKind::PermissionDenied)));
        assert!(opened.await.is_err());
    }
}
