//! Answers followers of the log that lack something.
//!
//! **Owns** one read-only connection, and the temporary file of the snapshot in hand.
//!
//! **Promises** an answer that is true of one moment: the records after the follower's cursor if
//! that is on the log and near, or else all users as of one place in the log.
//!
//! **When full** questions wait in their queue; who waits too long asks again, and only the last
//! question of a follower is answered.
//!
//! **When it dies**, or an answer is lost, the follower asks again.

use std::path::PathBuf;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use contract::topology::SYNC_REQUESTS_QUEUE;
use contract::{Continue, Cursor, Head, LogRecord, SnapshotPart, SyncAnswer, SyncRequest};
use futures_util::future::try_join;
use shared::bus::{BusError, Delivery};
use shared::log_sync::{Decision, decide};
use shared::secrets::SealingKeys;
use shared::sqlite::{ReadPool, Reader, StoreError};
use tokio::sync::{mpsc, watch};

use super::bus_loop::{BusAccess, consume, shared_queue};
use super::sealed_user::with_sealed_hashes;
use super::snapshot::{self, Snapshot, SnapshotError};
use crate::metrics::AnswerMetrics;
use crate::store::{self, log};
use questions::Questions;

mod questions;

/// How many questions may be on their way to it.
const PREFETCH: u16 = 4;
/// How many questions may wait for their answers.
const WAITING_MAX: usize = 64;
/// The most records of one answer; the follower asks for more.
const RECORDS_PER_ANSWER: u32 = 1_000;
/// The most bytes of data in one answer.
const BYTES_PER_ANSWER: usize = 1024 * 1024;

/// The responder.
pub struct SyncResponder {
    /// Moves into the loop when the actor starts.
    answering: Option<Answering>,
}

/// What an answer is made from.
struct Answering {
    access: BusAccess,
    reader: Reader,
    /// Names the incarnation that vouches for the answers.
    head: watch::Receiver<Head>,
    sealing_key: Arc<SealingKeys>,
    /// Where snapshots are written aside.
    directory: PathBuf,
    /// A follower further behind gets a snapshot.
    replay_limit: i64,
    metrics: AnswerMetrics,
}

impl SyncResponder {
    /// Answers from the log; `directory` takes the temporary files.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn new(
        access: BusAccess,
        pool: &ReadPool,
        head: watch::Receiver<Head>,
        sealing_key: Arc<SealingKeys>,
        directory: PathBuf,
        replay_limit: i64,
        metrics: AnswerMetrics,
    ) -> Result<Self, StoreError> {
        let reader = store::check_out(pool)?;
        let answering =
            Answering { access, reader, head, sealing_key, directory, replay_limit, metrics };
        Ok(Self { answering: Some(answering) })
    }
}

impl Actor for SyncResponder {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(answering) = self.answering.take() else { return };
        let (bus, access) = (Arc::clone(&answering.access.bus), answering.access.clone());
        let (asked, inbox) = mpsc::channel(WAITING_MAX);
        let handle = async move |delivery: &Delivery| match access.codec.decode_question(delivery) {
            // It ends with this actor.
            Ok(request) => drop(asked.send(request).await),
            Err(error) => access.bury(delivery, &error),
        };
        let queue = shared_queue(SYNC_REQUESTS_QUEUE, PREFETCH);
        context.spawn(answering.run(Questions::new(inbox)).into_actor(self));
        let consuming = consume(bus, queue, "answering followers", handle);
        context.spawn(consuming.into_actor(self).map(|(), _, _| ()));
    }
}

#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error("the bus did not take the answer")]
    Bus(#[from] BusError),
    #[error("the log cannot be read")]
    Log(#[from] StoreError),
    #[error("there is no snapshot")]
    Snapshot(#[from] SnapshotError),
    #[error("the follower has asked again")]
    Superseded,
}

impl Answering {
    async fn run(self, mut questions: Questions) {
        while let Some(request) = questions.next().await {
            match self.answer(&request, &mut questions).await {
                Ok(()) => {}
                Err(AnswerError::Superseded) => tracing::info!("a follower has asked again"),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(tracing::field::display);
                    tracing::warn!(%error, cause, "a follower got no answer");
                }
            }
        }
    }

    async fn answer(
        &self,
        request: &SyncRequest,
        questions: &mut Questions,
    ) -> Result<(), AnswerError> {
        let incarnation = self.head.borrow().incarnation;
        let head = Cursor { incarnation, position: log::end(&self.reader)? };
        let (at, end) = (request.cursor.position.seq, head.position.seq);
        let hash_there = log::hash_at(&self.reader, at)?;
        let decision = decide(request, head.position, hash_there, self.replay_limit);
        self.metrics.count(decision);
        tracing::info!(?decision, at, head = end, "a follower asks");
        match decision {
            Decision::Continue => self.send_records(request, &head).await,
            Decision::Snapshot(_) => self.send_snapshot(request, &head, questions).await,
        }
    }

    async fn send_records(&self, request: &SyncRequest, head: &Cursor) -> Result<(), AnswerError> {
        let at = request.cursor.position.seq;
        let records = log::records_after(&self.reader, at, RECORDS_PER_ANSWER)?;
        let records = within_bytes(records, BYTES_PER_ANSWER);
        let last = records.last().map_or(at, |last| last.position.seq);
        let records = with_sealed_hashes(&self.reader, records, &self.sealing_key)?;
        let answer = Continue {
            nonce: request.nonce.clone(),
            at: request.cursor,
            incarnation: head.incarnation,
            records,
            head_seq: head.position.seq.max(last),
        };
        self.send(request, &SyncAnswer::Continue(answer)).await
    }

    async fn send_snapshot(
        &self,
        request: &SyncRequest,
        head: &Cursor,
        questions: &mut Questions,
    ) -> Result<(), AnswerError> {
        let (incarnation, key) = (head.incarnation, &self.sealing_key);
        let (spooling, snapshot) =
            snapshot::begin(&self.reader, incarnation, key, &self.directory)?;
        let spooling = async { Ok(spooling.run().await?) };
        try_join(spooling, self.send_parts(request, snapshot, questions)).await?;
        Ok(())
    }

    async fn send_parts(
        &self,
        request: &SyncRequest,
        mut snapshot: Snapshot,
        questions: &mut Questions,
    ) -> Result<(), AnswerError> {
        for part in 1..=snapshot.parts {
            if questions.is_superseded(request) {
                return Err(AnswerError::Superseded);
            }
            let answer = SnapshotPart {
                nonce: request.nonce.clone(),
                as_of: snapshot.as_of,
                part,
                parts: snapshot.parts,
                users: snapshot.next_part().await?,
                checksum: Some(snapshot.checksum),
            };
            self.send(request, &SyncAnswer::Snapshot(answer)).await?;
        }
        Ok(())
    }

    async fn send(&self, request: &SyncRequest, answer: &SyncAnswer) -> Result<(), AnswerError> {
        let outgoing = self.access.codec.encode_answer(&request.reply_to, answer);
        Ok(self.access.bus.publish(vec![outgoing]).await?)
    }
}

/// As many records from the front as have so many bytes of data, but at least one.
fn within_bytes(mut records: Vec<LogRecord>, limit: usize) -> Vec<LogRecord> {
    let mut bytes = 0;
    let fitting = records.iter().take_while(|record| {
        let is_first = bytes == 0;
        bytes += record.data.len();
        is_first || bytes <= limit
    });
    let count = fitting.count();
    records.truncate(count);
    records
}

#[cfg(test)]
mod tests;
