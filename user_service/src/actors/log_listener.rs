//! Hears of what other processes write to the log.
//!
//! **Owns** a watch on the database, and a reader of the log.
//!
//! **Promises** that soon after another process has committed, the end of the log that this process
//! knows includes that commit, and whoever watches the end is woken. The writer looks by itself once
//! a second, which repairs what was not heard.
//!
//! **When full**: commits that come while one is told count as one.
//!
//! **When it dies**, what others write is seen within a second.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use contract::Head;
use shared::actors::{Backoff, Health, Mailbox, ask, supervise};
use tokio::sync::watch;
use tokio::time::sleep;

use super::user_repository::{HearHead, UserRepository};
use crate::store::{Store, StoreError};

/// The name of the loop, in the log and at `/readyz`.
const LISTENING: &str = "hearing of other processes' commits";

/// What it works with.
pub struct Listening {
    /// Tells of commits.
    pub store: Arc<dyn Store>,
    /// Gets the end of the log.
    pub repository: Mailbox<UserRepository>,
    /// The end of the log as this process knows it.
    pub head: watch::Receiver<Option<Head>>,
    /// Watches the loop.
    pub health: Health,
}

/// The listener.
pub struct LogListener {
    /// Moves into the loop when the actor starts.
    listening: Option<Listening>,
}

impl LogListener {
    /// Listens when it is started.
    pub fn new(listening: Listening) -> Self {
        Self { listening: Some(listening) }
    }
}

impl Actor for LogListener {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(listening) = self.listening.take() else { return };
        let working = async move {
            let run = async || listening.run().await;
            supervise(&listening.health, LISTENING, pending(), run).await;
        };
        context.spawn(working.into_actor(self).map(|(), _, _| ()));
    }
}

impl Listening {
    /// Listens again whenever that ends.
    async fn run(&self) -> Result<(), Infallible> {
        let mut backoff = Backoff::new(LISTENING);
        loop {
            if let Err(error) = self.listen(&mut backoff).await {
                sleep(backoff.failed(&error)).await;
            }
        }
    }

    async fn listen(&self, backoff: &mut Backoff) -> Result<(), StoreError> {
        let mut watch = self.store.watch_log().await?;
        let log = self.store.open_log_reader().await?;
        loop {
            // At first as well: what was written before cannot be heard.
            let head = log.find_head().await?;
            backoff.worked();
            if is_beyond(*self.head.borrow(), head) {
                // If the writer is gone or has too much to do, it looks by itself.
                let _ = ask(&self.repository, HearHead(head)).await;
            }
            watch.changed().await?;
        }
    }
}

/// Whether `heard` is news to who knows `known`.
pub(super) fn is_beyond(known: Option<Head>, heard: Head) -> bool {
    known.is_some_and(|known| known.position.seq < heard.position.seq)
}
