//! A snapshot of all users at one position of the log, written to a temporary file first. If the
//! database snapshot stayed open until a slow follower had taken the last part, the database could
//! not clean up old versions meanwhile. Parts are sent as soon as they are in the file: a follower that
//! heard nothing until the last part was read would think that its question was lost, and would ask
//! again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use contract::SnapshotUser;
use shared::secrets::SealingKeys;
use tempfile::NamedTempFile;
use tokio::sync::watch;

use super::super::sealed_records::seal_user;
use crate::store::{Snapshot, StoreError};

/// How many users one message carries: about 90 kB. Followers keep many messages in memory at a
/// time.
const USERS_PER_PART: u32 = 250;

/// The half that sends.
pub(super) struct Spool {
    /// How many parts there are: at least one.
    pub(super) parts: u32,
    /// One line of JSON for each part.
    lines: BufReader<File>,
    /// How many parts are in the file.
    written: watch::Receiver<u32>,
    /// Where each part begins that has been read back, and the one after them.
    starts: Vec<u64>,
    /// How far the file has been read.
    read_to: u64,
}

/// The half that reads the users into the file.
pub(super) struct Spooling<'a> {
    snapshot: Box<dyn Snapshot + 'a>,
    key: &'a SealingKeys,
    file: File,
    parts: u32,
    written: watch::Sender<u32>,
}

/// The file was not written, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("the database failed")]
    Store(#[from] StoreError),
    #[error("the temporary file of the snapshot failed")]
    File(#[from] io::Error),
    #[error("the snapshot cannot be encoded")]
    Json(#[from] serde_json::Error),
    #[error("the users were not read to the end")]
    Unfinished,
}

/// Creates both halves, which are to run at the same time.
pub(super) fn begin<'a>(
    snapshot: Box<dyn Snapshot + 'a>,
    key: &'a SealingKeys,
    directory: &Path,
) -> Result<(Spooling<'a>, Spool), SnapshotError> {
    let parts = snapshot.count().div_ceil(USERS_PER_PART).max(1);
    let spool = NamedTempFile::new_in(directory)?;
    let lines = BufReader::new(spool.reopen()?);
    // From here on the file has no name. It disappears when both halves are dropped.
    let file = spool.into_file();
    let (sender, written) = watch::channel(0);
    let spooling = Spooling { snapshot, key, file, parts, written: sender };
    Ok((spooling, Spool { parts, lines, written, starts: vec![0], read_to: 0 }))
}

impl Spooling<'_> {
    /// Reads at its own pace, however slow the bus is.
    pub(super) async fn run(mut self) -> Result<(), SnapshotError> {
        let mut after = 0;
        for part in 1..=self.parts {
            let page = self.snapshot.list_credentials(after, USERS_PER_PART).await?;
            after = page.last().map_or(after, |last| last.user.id.0);
            let users: Vec<SnapshotUser> =
                page.iter().map(|found| seal_user(found, self.key)).collect();
            let mut line = serde_json::to_vec(&users)?;
            line.push(b'\n');
            self.file.write_all(&line)?;
            self.written.send_replace(part);
            // Yields, because the sending half runs on the same thread.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

impl Spool {
    /// The users of this part, from 1, as soon as they are in the file. A part may be read again.
    /// `None` if the one before it was never read.
    pub(super) async fn part(
        &mut self,
        number: u32,
    ) -> Result<Option<Vec<SnapshotUser>>, SnapshotError> {
        let index = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
        let Some(start) = self.starts.get(index).copied() else { return Ok(None) };
        let more = self.written.wait_for(|written| *written >= number).await;
        if more.is_err() {
            return Err(SnapshotError::Unfinished);
        }
        if start != self.read_to {
            self.lines.seek(SeekFrom::Start(start))?;
        }
        let mut line = String::new();
        self.read_to = start + self.lines.read_line(&mut line)? as u64;
        if self.starts.len() == index + 1 {
            self.starts.push(self.read_to);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::test_repository::{TestRepository, create_as};
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    #[actix::test]
    async fn a_part_can_be_sent_before_the_last_one_is_read() {
        let repository = TestRepository::start().await;
        create_as(&repository, "first").await;
        for group in 0..3 {
            let names: Vec<String> = (0..100).map(|n| format!("user{group}x{n}")).collect();
            join_all(names.iter().map(|name| create_as(&repository, name))).await;
        }
        let snapshot = repository.log.snapshot().await.unwrap();
        assert_eq!(snapshot.head().position.seq, 301);
        let directory = repository.directory.path();
        let (spooling, mut spool) = begin(snapshot, &repository.key, directory).unwrap();
        assert_eq!(spool.parts, 2);
        assert!(spool.part(1).now_or_never().is_none(), "nothing is read yet");
        let mut reading = Box::pin(spooling.run());
        assert!((&mut reading).now_or_never().is_none(), "one part is read");
        let first = spool.part(1).now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(first.len(), 250);
        // A user who is created meanwhile belongs to a later position of the log.
        create_as(&repository, "later").await;
        reading.await.unwrap();
        assert_eq!(spool.part(3).await.unwrap(), None, "the second was not read");
        assert_eq!(spool.part(2).await.unwrap().unwrap().len(), 51);
        assert_eq!(spool.part(1).await.unwrap(), Some(first), "once more");
        assert_eq!(spool.part(2).await.unwrap().unwrap().len(), 51);
    }

    #[actix::test]
    async fn a_snapshot_whose_reading_failed_has_no_next_part() {
        let repository = TestRepository::start().await;
        let snapshot = repository.log.snapshot().await.unwrap();
        let directory = repository.directory.path();
        let (spooling, mut spool) = begin(snapshot, &repository.key, directory).unwrap();
        drop(spooling);
        assert!(matches!(spool.part(1).await, Err(SnapshotError::Unfinished)));
    }
}
