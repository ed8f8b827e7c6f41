//! Answers followers of the log that miss records.
//!
//! **Owns** one reader of the log, and the temporary file of the snapshot in progress.
//!
//! **Promises** an answer that is consistent at one moment: the records after the follower's cursor
//! if that cursor is on the log and near its end; otherwise all users at one position of the log.
//!
//! **When full** questions wait in their queue. A follower that waits too long asks again, and only
//! its last question is answered.
//!
//! **When it dies**, or an answer is lost, the follower asks again.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use contract::topology::SYNC_REQUESTS_QUEUE;
use contract::{Continue, Head, SentRecord, SnapshotPart, SyncAnswer, SyncRequest};
use futures_util::future::{pending, try_join};
use shared::actors::{Health, supervise};
use shared::bus::{BusError, Delivery};
use shared::log_sync::{Decision, decide};
use shared::secrets::SealingKeys;
use tokio::sync::mpsc;

use super::consuming::{BusAccess, consume, shared_queue};
use super::sealed_records::seal_record;
use crate::metrics::AnswerMetrics;
use crate::store::{LogReader, Records, Store, StoreError};
use questions::Questions;
use spool::{SnapshotError, Spool};

mod questions;
mod spool;

/// The name of one of the two loops, in the log and at `/readyz`.
const RECEIVING: &str = "receiving questions";
/// How many questions may be on their way to the responder.
const PREFETCH: u16 = 4;
/// How many questions may wait for their answers.
const WAITING_MAX: usize = 64;
/// The most records of one answer; the follower asks for more.
const RECORDS_PER_ANSWER: u32 = 1_000;
/// The most bytes of data in one answer.
const BYTES_PER_ANSWER: usize = 1024 * 1024;

/// What the responder works with.
pub struct Answering {
    /// Delivers the questions and takes the answers.
    pub access: BusAccess,
    /// Has the log and the users.
    pub store: Arc<dyn Store>,
    /// Seals the hashes of passwords.
    pub sealing_key: Arc<SealingKeys>,
    /// Directory for the temporary files of snapshots.
    pub directory: PathBuf,
    /// A follower that is more than this many records behind gets a snapshot.
    pub replay_limit: i64,
    /// Counts the answers.
    pub metrics: AnswerMetrics,
    /// Watches the loops.
    pub health: Health,
}

/// The responder.
pub struct SyncResponder {
    /// Moves into the loops when the actor starts.
    answering: Option<Answering>,
}

impl SyncResponder {
    /// Answers from the log.
    pub fn new(answering: Answering) -> Self {
        Self { answering: Some(answering) }
    }
}

impl Actor for SyncResponder {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(answering) = self.answering.take() else { return };
        context.spawn(answering.work().into_actor(self).map(|(), _, _| ()));
    }
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error("the bus did not take the answer")]
    Bus(#[from] BusError),
    #[error("the log cannot be read")]
    Log(#[from] StoreError),
    #[error("cannot make a snapshot")]
    Snapshot(#[from] SnapshotError),
    #[error("the follower has asked again")]
    Superseded,
}

impl Answering {
    /// Runs two loops: one takes questions from the bus while the other answers them.
    async fn work(self) {
        let (asked, inbox) = mpsc::channel(WAITING_MAX);
        let mut questions = Questions::new(inbox);
        let receiving = supervise(&self.health, RECEIVING, pending(), async || {
            let queue = shared_queue(SYNC_REQUESTS_QUEUE, PREFETCH);
            let take = async |delivery: &Delivery| self.receive(delivery, &asked).await;
            consume(&*self.access.bus, queue, RECEIVING, take).await
        });
        let answering = supervise(&self.health, "answering followers", pending(), async || {
            self.run(&mut questions).await
        });
        tokio::join!(receiving, answering);
    }

    async fn run(&self, questions: &mut Questions) -> Result<(), StoreError> {
        let reader = self.store.open_log_reader().await?;
        while let Some(request) = questions.next().await {
            match self.answer(&*reader, &request, questions).await {
                Ok(()) => {}
                Err(AnswerError::Superseded) => tracing::info!("a follower has asked again"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn Error, "cannot answer a follower");
                }
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        reader: &dyn LogReader,
        request: &SyncRequest,
        questions: &mut Questions,
    ) -> Result<(), AnswerError> {
        let head = reader.find_head().await?;
        let at = request.cursor.position.seq;
        let hash_there = reader.find_record_hash(at).await?;
        let decision = decide(request, head.position, hash_there, self.replay_limit);
        self.metrics.count(decision);
        tracing::info!(
            ?decision,
            at,
            head = head.position.seq,
            "received a question from a follower"
        );
        match decision {
            Decision::Continue => self.send_records(reader, request).await,
            Decision::Snapshot(_) => self.send_snapshot(reader, request, questions).await,
        }
    }

    async fn send_records(
        &self,
        reader: &dyn LogReader,
        request: &SyncRequest,
    ) -> Result<(), AnswerError> {
        let at = request.cursor;
        let Records { records, head } =
            reader.list_records(at.position.seq, RECORDS_PER_ANSWER).await?;
        let records: Vec<SentRecord> =
            records.into_iter().map(|stored| seal_record(stored, &self.sealing_key)).collect();
        let answer = Continue {
            nonce: request.nonce.clone(),
            at,
            incarnation: head.incarnation,
            records: within_bytes(records, BYTES_PER_ANSWER),
            head_seq: head.position.seq,
        };
        self.send(request, &SyncAnswer::Continue(answer)).await
    }

    async fn send_snapshot(
        &self,
        reader: &dyn LogReader,
        request: &SyncRequest,
        questions: &mut Questions,
    ) -> Result<(), AnswerError> {
        let snapshot = reader.snapshot().await.map_err(SnapshotError::from)?;
        let head = snapshot.head();
        let (spooling, spool) = spool::begin(snapshot, &self.sealing_key, &self.directory)?;
        let spooling = async { Ok(spooling.run().await?) };
        try_join(spooling, self.send_parts(request, head, spool, questions)).await?;
        Ok(())
    }

    async fn send_parts(
        &self,
        request: &SyncRequest,
        head: Head,
        mut spool: Spool,
        questions: &mut Questions,
    ) -> Result<(), AnswerError> {
        for part in 1..=spool.parts {
            if questions.is_superseded(request) {
                return Err(AnswerError::Superseded);
            }
            let answer = SnapshotPart {
                nonce: request.nonce.clone(),
                as_of: head.cursor(),
                part,
                parts: spool.parts,
                users: spool.next_part().await?,
                checksum: head.checksum,
            };
            self.send(request, &SyncAnswer::Snapshot(answer)).await?;
        }
        Ok(())
    }

    async fn send(&self, request: &SyncRequest, answer: &SyncAnswer) -> Result<(), AnswerError> {
        let BusAccess { bus, codec, .. } = &self.access;
        Ok(bus.publish(vec![codec.encode_answer(&request.reply_to, answer)]).await?)
    }

    async fn receive(&self, delivery: &Delivery, asked: &mpsc::Sender<SyncRequest>) {
        match self.access.codec.decode_question(delivery) {
            // The loop that answers lives as long as this one.
            Ok(request) => drop(asked.send(request).await),
            Err(error) => self.access.bury(delivery, &error),
        }
    }
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
mod tests;
