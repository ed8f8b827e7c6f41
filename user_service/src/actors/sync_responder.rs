//! Answers followers of the log that miss records.
//!
//! **Owns** two readers of the log, one for questions that come through the broker and one for those
//! that come over HTTP, so that neither way waits for the other; and the temporary files of the
//! snapshots in progress.
//!
//! **Promises** an answer that is consistent at one moment: the records after the follower's cursor
//! if that cursor is on the log and near its end; otherwise all users at one position of the log, in
//! parts, and never more parts at a time than the follower has given credit for.
//!
//! **Promises** too that while the database cannot be reached, questions stay in their queue, for other
//! processes behind the same log.
//!
//! **When full** questions wait in their queue. A follower that waits too long asks again, and only
//! its last question is answered. Questions over HTTP are refused.
//!
//! **When it dies**, or an answer is lost, the follower asks again.

use std::path::PathBuf;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use contract::topology::SYNC_REQUESTS_QUEUE;
use futures_util::future::pending;
use shared::actors::{Health, Mailbox, supervise};
use shared::bus::cloud_event::Codec;
use shared::secrets::SealingKeys;
use tokio::sync::{mpsc, oneshot};

use super::UserRepository;
use super::consuming::{BusAccess, receive, shared_queue};
use crate::metrics::AnswerMetrics;
use crate::store::Store;
use answering::Answering;
use questions::{Asked, Questions, Way};

pub use questions::{DirectQuestions, TooManyQuestions};

mod answering;
mod questions;
mod snapshots;
mod spool;

/// The name of one of the loops, in the log and at `/readyz`.
const RECEIVING: &str = "receiving questions";
/// How many questions may wait here for their answers. More than there are followers: only the last
/// question of each is answered.
const WAITING_MAX: u16 = 64;

/// What the responder works with.
#[derive(Clone)]
pub struct Responding {
    /// Delivers the questions and takes the answers.
    pub access: BusAccess,
    /// Has the log and the users.
    pub store: Arc<dyn Store>,
    /// Learns where followers are.
    pub repository: Mailbox<UserRepository>,
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
    /// Moves into the loops when the actor starts, with the questions over HTTP.
    responding: Option<(Responding, mpsc::Receiver<Asked>)>,
}

impl SyncResponder {
    /// Answers from the log.
    pub fn new(responding: Responding) -> (Self, DirectQuestions) {
        let (questions, inbox) = DirectQuestions::new();
        (Self { responding: Some((responding, inbox)) }, questions)
    }
}

impl Actor for SyncResponder {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some((responding, direct)) = self.responding.take() else { return };
        context.spawn(responding.work(direct).into_actor(self).map(|(), _, _| ()));
    }
}

impl Responding {
    /// Runs three loops: one takes questions from the bus, one answers them, and one answers those
    /// over HTTP, because an answer to a bus that hangs takes long.
    async fn work(self, direct: mpsc::Receiver<Asked>) {
        let (asked, inbox) = mpsc::channel(WAITING_MAX.into());
        let (mut questions, mut direct) = (Questions::new(inbox), Questions::new(direct));
        let queue = (RECEIVING, shared_queue(SYNC_REQUESTS_QUEUE, WAITING_MAX));
        // The loop that answers lives as long as this one.
        let put = async |request| {
            let (giving_back, given_back) = oneshot::channel();
            let giving_back = Some(giving_back);
            drop(asked.send(Asked { request, way: Way::Bus, giving_back }).await);
            given_back.await.map_or(Ok(()), Err)
        };
        let receiving = receive(&self.access, &self.health, queue, Codec::decode_question, put);
        let answering = supervise(&self.health, "answering followers", pending(), async || {
            Answering::open(&self).await?.run(&mut questions).await
        });
        let directly = supervise(&self.health, "answering over HTTP", pending(), async || {
            Answering::open(&self).await?.run(&mut direct).await
        });
        tokio::join!(receiving, answering, directly);
    }
}

#[cfg(test)]
mod tests;
