//! Receives the questions and commands that come to this service through a queue.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use futures_util::StreamExt;
use shared::actors::{Backoff, Health, supervise};
use shared::bus::cloud_event::{Codec, Undecodable};
use shared::bus::{Bus, BusError, DeadLetters, Delivery, QueueLifetime, QueueSpec, Subscription};
use tokio::time::sleep;

use super::foreign_keys::ForeignKeys;

/// What a consumer of this service's queues works with. Clones share it.
#[derive(Clone)]
pub struct BusAccess {
    /// Receives and sends messages.
    pub bus: Arc<dyn Bus>,
    /// Decodes and encodes them.
    pub codec: Codec,
    /// Takes the messages that cannot be used.
    pub dead_letters: DeadLetters,
    /// Hears of sealing keys that are not here.
    pub foreign_keys: ForeignKeys,
}

impl BusAccess {
    /// Sends a message that cannot be decoded to the dead letters.
    fn bury(&self, Delivery { message, routing_key, .. }: &Delivery, error: &Undecodable) {
        self.foreign_keys.note(error);
        self.dead_letters.send(message.clone(), routing_key.clone(), error.to_string());
    }
}

/// A queue whose consumers, in all processes of this service, share the work.
pub(super) fn shared_queue(name: &str, prefetch: u16) -> QueueSpec {
    QueueSpec { name: name.into(), lifetime: QueueLifetime::Shared, bindings: vec![], prefetch }
}

/// Takes the messages of a queue for ever, one after the other, whatever fails. A message that cannot
/// be read goes to the dead letters. `what` names the loop, in the log and at `/readyz`.
pub(super) async fn receive<T>(
    access: &BusAccess,
    health: &Health,
    (what, queue): (&'static str, QueueSpec),
    read: impl Fn(&Codec, &Delivery) -> Result<T, Undecodable>,
    take: impl AsyncFn(T),
) {
    let handle = async |delivery: &Delivery| match read(&access.codec, delivery) {
        Ok(message) => take(message).await,
        Err(error) => access.bury(delivery, &error),
    };
    let run = async || consume(&*access.bus, queue.clone(), what, &handle).await;
    supervise(health, what, pending(), run).await;
}

/// Passes each delivery to `handle`, one after the other, and then acknowledges it. Never returns:
/// after any failure of the bus it subscribes again. `what` is its name in the log.
async fn consume(
    bus: &dyn Bus,
    queue: QueueSpec,
    what: &'static str,
    handle: &impl AsyncFn(&Delivery),
) -> Result<(), Infallible> {
    let mut backoff = Backoff::new(what);
    loop {
        let error = match bus.subscribe(queue.clone()).await {
            Ok(subscription) => {
                backoff.worked();
                until_cut_off(subscription, handle).await
            }
            Err(error) => error,
        };
        sleep(backoff.failed(&error)).await;
    }
}

async fn until_cut_off(
    mut subscription: Subscription,
    handle: &impl AsyncFn(&Delivery),
) -> BusError {
    while let Some(delivery) = subscription.next().await {
        handle(&delivery).await;
        if let Err(error) = subscription.acknowledge_through(delivery.tag).await {
            return error;
        }
    }
    BusError::Unreachable("cut off".into())
}
