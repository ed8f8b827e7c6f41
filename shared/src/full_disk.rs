//! Starting on a disk that is full.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::time::sleep;

use crate::actors::Backoff;
use crate::store_error::StoreError;

/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(5);

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
pub(crate) fn is_full_kind(kind: ErrorKind) -> bool {
    use ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(kind, QuotaExceeded | ReadOnlyFilesystem | StorageFull)
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

    #[tokio::test]
    async fn any_other_fault_ends_the_start() {
        let opened =
            open_when_there_is_space(async || Err::<(), _>(failed(ErrorKind::PermissionDenied)));
        assert!(opened.await.is_err());
    }
}
