//! **Owns** what this replica knows of the others: which are there, whether their token sets equal
//! this one, and the last proof that everything which they had published has arrived here.
//!
//! **Promises** that every record of this replica is published until the bus has confirmed it, that
//! a delivery is acknowledged after its records are on the disk, and that a difference between two
//! sets which lasts is fetched. What it shows to others says "fresh" only after a marker of its own
//! has come back through its own queue (docs/decisions/0013-the-token-set.md).
//!
//! **When full**: what waits stays in the queues, whose prefetch is the bound. Of other replicas'
//! questions the oldest few are kept: who asks in vain asks again.
//!
//! **When it dies**, at any point, what was not acknowledged comes again, and what was not confirmed
//! is published again: a set takes both.

mod answering;
mod head_names;
mod outbox;
mod queues;
mod replicas;
mod roll_call;
mod session;
mod telling;

use std::future::pending;
use std::sync::Arc;

use actix::{Actor, ActorContext, ArbiterHandle, AsyncContext, Context, Handler, WrapFuture};
use contract::ReplicaId;
use shared::actors::{Ask, AskError, Command, Health, Mailbox, supervise};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, BusError, DeadLetters};
use shared::clock::Clock;
use shared::tokens::token_set::BootTime;
use tokio::sync::{Notify, watch};

pub use self::replicas::{KnownReplicas, Replicas};
use crate::actors::TokenRevocations;
use crate::metrics::ExchangeMetrics;
use crate::store::StoreError;

/// Commands that may wait: there is only one.
const MAILBOX: usize = 1;

/// "Take no more deliveries."
pub struct StopExchanging;

impl Command for StopExchanging {
    type Reply = ();
}

/// Why a session with the other replicas ended.
#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Everything that the exchange works with.
pub struct Exchange {
    /// Where deliveries come from and records go to.
    pub bus: Arc<dyn Bus>,
    /// Reads and writes messages.
    pub codec: Codec,
    /// Names this replica.
    pub me: ReplicaId,
    /// The set may lack what was known before this start: it cannot tell whether others were there.
    pub has_new_gap: bool,
    /// The owner of the set.
    pub revocations: Mailbox<TokenRevocations>,
    /// Notified when there may be records to be published.
    pub committed: Arc<Notify>,
    /// What is shown to workers, the owner of the keys, and probes.
    pub known: watch::Sender<KnownReplicas>,
    /// Keeps copies of messages that cannot be used.
    pub dead_letters: DeadLetters,
    /// Tells the time.
    pub clock: Clock,
    /// Told of everything.
    pub metrics: ExchangeMetrics,
    /// Shows failures of the loops.
    pub health: Health,
}

impl Exchange {
    fn now(&self) -> BootTime {
        BootTime(self.clock.boot_ms())
    }

    /// Exchanges for ever: after each failure with new subscriptions.
    async fn run(self) {
        let run = async || {
            let ended = self.hold_session().await;
            self.known.send_modify(|known| known.cut_off(self.now()));
            ended
        };
        let exchanging = supervise(&self.health, "exchanging token sets", pending(), run);
        let run = async || self.publish_records().await;
        let publishing = supervise(&self.health, "publishing token records", pending(), run);
        tokio::join!(exchanging, publishing);
    }
}

/// Exchanges token sets for as long as it lives.
pub struct TokenExchange {
    /// Until the actor has started; then its loops have it, and nobody else.
    exchange: Option<Exchange>,
}

impl TokenExchange {
    /// Starts the actor on that thread, which decodes and never waits for a disk.
    pub fn launch(thread: &ArbiterHandle, exchange: Exchange, health: &Health) -> Mailbox<Self> {
        Mailbox::start_on(thread, health, MAILBOX, |_| Self { exchange: Some(exchange) })
    }
}

impl Actor for TokenExchange {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(exchange) = self.exchange.take() {
            context.spawn(exchange.run().into_actor(self));
        }
    }
}

impl Handler<Ask<StopExchanging>> for TokenExchange {
    type Result = ();

    /// The loops are dropped where they wait: to be cut off anywhere is what they are made for.
    fn handle(&mut self, ask: Ask<StopExchanging>, context: &mut Self::Context) {
        context.stop();
        ask.answer(|StopExchanging| ());
    }
}
