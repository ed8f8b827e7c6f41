//! Answering: one question after the other, and snapshots beside them.

use std::error::Error;

use contract::{Continue, Head, SentRecord, SyncAnswer, SyncRequest};
use shared::actors::{AskError, ask};
use shared::bus::BusError;
use shared::log_sync::{Decision, SnapshotReason, decide};
use tokio::time::timeout;

use super::super::consuming::{NotNow, READING_LIMIT};
use super::super::sealed_records::seal_record;
use super::super::user_repository::HearFollower;
use super::Responding;
use super::questions::{Asked, Questions};
use super::snapshots::Snapshots;
use super::spool::SnapshotError;
use crate::store::{FollowerPlace, LogReader, Records, StoreError};

/// The most records of one answer; the follower asks for more.
const RECORDS_PER_ANSWER: u32 = 1_000;
/// The most bytes of data in one answer.
const BYTES_PER_ANSWER: usize = 1024 * 1024;

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("the bus did not take the answer")]
    Bus(#[from] BusError),
    #[error("the log cannot be read")]
    Log(#[from] StoreError),
    #[error("the log has to be written first")]
    Writer(#[from] AskError),
    #[error("cannot make a snapshot")]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    NotNow(#[from] NotNow),
}

impl AnswerError {
    /// Another process may answer.
    fn not_now(&self) -> Option<NotNow> {
        match self {
            Self::NotNow(not_now) => Some(not_now.clone()),
            Self::Log(error) => NotNow::because_of(error).err(),
            _ => None,
        }
    }
}

/// Answers with one reader of the log.
pub(super) struct Answering<'a> {
    with: &'a Responding,
    reader: Box<dyn LogReader>,
}

impl<'a> Answering<'a> {
    pub(super) async fn open(with: &'a Responding) -> Result<Self, StoreError> {
        Ok(Self { with, reader: with.store.open_log_reader().await? })
    }

    /// Ends when no more questions can come.
    pub(super) async fn run(&self, questions: &mut Questions) -> Result<(), StoreError> {
        let mut snapshots = Snapshots::new(self.with);
        loop {
            tokio::select! {
                asked = questions.next() => {
                    let Some(mut asked) = asked else { return Ok(()) };
                    let giving_back = asked.giving_back.take();
                    if let Err(error) = self.answer(asked, &mut snapshots).await {
                        warn(&error);
                        if let (Some(giving_back), Some(not_now)) = (giving_back, error.not_now()) {
                            // Whoever would give it back may be gone, and has then given it back.
                            let _ = giving_back.send(not_now);
                        }
                    }
                }
                outcome = snapshots.next_ended() => {
                    if let Err(error) = outcome {
                        warn(&error);
                    }
                }
            }
        }
    }

    async fn answer(&self, asked: Asked, snapshots: &mut Snapshots<'a>) -> Result<(), AnswerError> {
        let Some(asked) = snapshots.pass_on(asked) else { return Ok(()) };
        let request = &asked.request;
        if request.credit.is_some_and(|credit| credit.after > 0) {
            tracing::debug!("a follower wants more of a snapshot that is gone; it will ask anew");
            return Ok(());
        }
        let (decision, head) =
            timeout(READING_LIMIT, self.decide(request)).await.map_err(|_| NotNow::Late)??;
        self.with.metrics.count(decision);
        let (at, head) = (request.cursor.position.seq, head.position.seq);
        if decision == Decision::Continue {
            // Each follower asks once a second.
            tracing::debug!(at, head, "received a question from a follower");
        } else {
            tracing::info!(?decision, at, head, "received a question from a follower");
        }
        match decision {
            Decision::Continue => self.send_records(asked).await,
            Decision::Snapshot(_) => {
                snapshots.begin(asked);
                Ok(())
            }
        }
    }

    /// What to answer, and where the log ends.
    async fn decide(&self, request: &SyncRequest) -> Result<(Decision, Head), AnswerError> {
        let place = FollowerPlace { cursor: request.cursor, highest_id: request.highest_id };
        let told = ask(&self.with.repository, HearFollower(place)).await;
        let head = self.reader.find_head().await?;
        let hash_there = self.reader.find_record_hash(request.cursor.position.seq).await?;
        let decision = decide(request, head.position, hash_there, self.with.replay_limit);
        if decision == Decision::Snapshot(SnapshotReason::NotOnTheLog) {
            // If the log went back, it must say so before its users are told: else tokens would live
            // again. While the disk is full, the follower asks in vain.
            told??;
        }
        Ok((decision, head))
    }

    async fn send_records(&self, mut asked: Asked) -> Result<(), AnswerError> {
        let at = asked.request.cursor;
        let Records { records, head } =
            self.reader.list_records(at.position.seq, RECORDS_PER_ANSWER).await?;
        let records: Vec<SentRecord> =
            records.into_iter().map(|stored| seal_record(stored, &self.with.sealing_key)).collect();
        let answer = Continue {
            nonce: asked.request.nonce.clone(),
            at,
            incarnation: head.incarnation,
            records: within_bytes(records, BYTES_PER_ANSWER),
            head_seq: head.position.seq,
        };
        Ok(asked.give(&self.with.access, &SyncAnswer::Continue(answer)).await?)
    }
}

fn warn(error: &AnswerError) {
    tracing::warn!(error = error as &dyn Error, "cannot answer a follower");
}

/// As many records from the front as fit into this many bytes of data, but at least one.
fn within_bytes(mut records: Vec<SentRecord>, limit: usize) -> Vec<SentRecord> {
    let mut bytes = 0;
    let fitting = records.iter().take_while(|sent| {
        let is_first = bytes == 0;
        bytes += sent.record.data.len();
        is_first || bytes <= limit
    });
    let count = fitting.count();
    records.truncate(count);
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{EventKind, LogRecord, Position, RecordHash};

    #[test]
    fn an_answer_has_at_least_one_record_and_else_no_more_bytes_than_allowed() {
        let record = |data: &str| SentRecord {
            record: LogRecord {
                position: Position::default(),
                prev_hash: RecordHash::default(),
                kind: EventKind::CREATED,
                recorded_at_ms: 0,
                traceparent: None,
                data: data.into(),
            },
            sealed_hash: None,
        };
        let records = vec![record("aaaa"), record("bb"), record("c")];
        for (limit, kept) in [(1, 1), (4, 1), (6, 2), (7, 3)] {
            assert_eq!(within_bytes(records.clone(), limit).len(), kept, "{limit}");
        }
    }
}
