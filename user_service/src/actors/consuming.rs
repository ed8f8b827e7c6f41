//! Receives the questions and commands that come to this service through a queue.
//!
//! All processes of the service share each queue. So a process that cannot reach the database takes
//! nothing: it gives back what it has and leaves the queue to the others until it can. So does one that
//! hears another log: who asks may follow that one.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use shared::actors::{Backoff, Health, supervise};
use shared::bus::cloud_event::{Codec, Undecodable};
use shared::bus::{Bus, BusError, DeadLetters, Delivery, QueueLifetime, QueueSpec, Subscription};
use tokio::time::{sleep, timeout};

use super::foreign_keys::ForeignKeys;
use super::other_logs::OtherLogs;
use crate::store::{ChangeError, Store, StoreError};

/// How long reading for one message may take, before the message is left to another process.
pub(super) const READING_LIMIT: Duration = Duration::from_secs(5);

/// What a consumer of this service's queues works with. Clones share it.
#[derive(Clone)]
pub struct BusAccess {
    /// Receives and sends messages.
    pub bus: Arc<dyn Bus>,
    /// Decodes and encodes them.
    pub codec: Codec,
    /// What they are about. Nothing is taken from a queue while it cannot be reached.
    pub store: Arc<dyn Store>,
    /// While another log is told at the broker, nothing is taken from a queue.
    pub others: OtherLogs,
    /// Takes the messages that cannot be used.
    pub dead_letters: DeadLetters,
    /// Hears of sealing keys that are not here.
    pub foreign_keys: ForeignKeys,
}

/// This process cannot do now what a message wants. Another one may.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum NotNow {
    #[error(transparent)]
    Unavailable(StoreError),
    #[error("the database did not answer within {READING_LIMIT:?}")]
    Late,
}

impl NotNow {
    /// Whether a failure of the database is this process's alone, as far as it can tell.
    pub(super) fn because_of(error: &StoreError) -> Result<(), Self> {
        match error {
            StoreError::Unavailable(_) => Err(Self::Unavailable(error.clone())),
            _ => Ok(()),
        }
    }

    /// The same of a change that was not made.
    pub(super) fn because_of_change(error: &ChangeError) -> Result<(), Self> {
        if let ChangeError::Store(error) = error { Self::because_of(error) } else { Ok(()) }
    }
}

/// Why a queue is not consumed.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    NotNow(#[from] NotNow),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("another log is told at this broker")]
    OtherLog,
}

impl BusAccess {
    /// Sends a message that cannot be decoded to the dead letters.
    fn bury(&self, Delivery { message, routing_key, .. }: &Delivery, error: &Undecodable) {
        self.foreign_keys.note(error);
        self.dead_letters.send(message.clone(), routing_key.clone(), error.to_string());
    }

    async fn check(&self) -> Result<(), Interruption> {
        if self.others.are_heard() {
            return Err(Interruption::OtherLog);
        }
        let reading = async { self.store.open_log_reader().await?.find_head().await };
        timeout(READING_LIMIT, reading).await.map_err(|_| NotNow::Late)??;
        Ok(())
    }
}

/// A queue whose consumers, in all processes of this service, share the work.
pub(super) fn shared_queue(name: &str, prefetch: u16) -> QueueSpec {
    QueueSpec { name: name.into(), lifetime: QueueLifetime::Shared, bindings: vec![], prefetch }
}

/// Takes the messages of a queue for ever, as many at a time as its prefetch allows, whatever fails. A
/// message that cannot be read goes to the dead letters. One that `take` refuses goes back to the
/// queue with all after it. `what` names the loop, in the log and at `/readyz`.
pub(super) async fn receive<T>(
    access: &BusAccess,
    health: &Health,
    (what, queue): (&'static str, QueueSpec),
    read: impl Fn(&Codec, &Delivery) -> Result<T, Undecodable>,
    take: impl AsyncFn(T) -> Result<(), NotNow>,
) {
    let handle = async |delivery: &Delivery| match read(&access.codec, delivery) {
        Ok(message) => take(message).await,
        Err(error) => {
            access.bury(delivery, &error);
            Ok(())
        }
    };
    let run = async || consume(access, &queue, what, &handle).await;
    supervise(health, what, pending(), run).await;
}

/// Passes the deliveries to `handle`, and acknowledges them in order. Never returns: after any failure
/// it subscribes again. `what` is its name in the log.
async fn consume(
    access: &BusAccess,
    queue: &QueueSpec,
    what: &'static str,
    handle: &impl AsyncFn(&Delivery) -> Result<(), NotNow>,
) -> Result<(), Infallible> {
    let mut backoff = Backoff::new(what);
    loop {
        let Err(error) = subscribe_once(access, queue, &mut backoff, handle).await;
        sleep(backoff.failed(&error)).await;
    }
}

async fn subscribe_once(
    access: &BusAccess,
    queue: &QueueSpec,
    backoff: &mut Backoff,
    handle: &impl AsyncFn(&Delivery) -> Result<(), NotNow>,
) -> Result<Infallible, Interruption> {
    access.check().await?;
    let subscription = access.bus.subscribe(queue.clone()).await?;
    backoff.worked();
    tokio::select! {
        interrupted = until_interrupted(subscription, queue.prefetch, handle) => interrupted,
        () = access.others.heard() => Err(Interruption::OtherLog),
    }
}

/// Returns what is not acknowledged to the queue.
async fn until_interrupted(
    subscription: Subscription,
    prefetch: u16,
    handle: &impl AsyncFn(&Delivery) -> Result<(), NotNow>,
) -> Result<Infallible, Interruption> {
    let (deliveries, acknowledger) = subscription.split();
    let handling = deliveries.map(async |delivery| (delivery.tag, handle(&delivery).await));
    let mut handled = handling.buffered(usize::from(prefetch));
    while let Some((tag, outcome)) = handled.next().await {
        outcome?;
        acknowledger.acknowledge_through(tag).await?;
    }
    Err(BusError::Unreachable("cut off".into()).into())
}
