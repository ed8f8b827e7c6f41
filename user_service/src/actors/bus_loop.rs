//! Consuming a queue for as long as the service lives, whatever becomes of the broker.

use std::sync::Arc;

use futures_util::StreamExt;
use shared::actors::Backoff;
use shared::bus::cloud_event::{Codec, Undecodable};
use shared::bus::{Bus, BusError, DeadLetters, Delivery, QueueLifetime, QueueSpec};

/// What a consumer of this service's queues works with. Clones lead to the same.
#[derive(Clone)]
pub struct BusAccess {
    /// Brings and takes messages.
    pub bus: Arc<dyn Bus>,
    /// Reads and writes them.
    pub codec: Codec,
    /// Takes those that cannot be read.
    pub dead_letters: DeadLetters,
}

impl BusAccess {
    /// Puts what cannot be decoded among the dead letters.
    pub(super) fn bury(&self, delivery: &Delivery, error: &Undecodable) {
        let Delivery { message, routing_key, .. } = delivery;
        self.dead_letters.send(message.clone(), routing_key.clone(), error.to_string());
    }
}

/// A queue of questions or commands to this service, whose consumers share the work.
pub(super) fn shared_queue(name: &str, prefetch: u16) -> QueueSpec {
    QueueSpec { name: name.into(), lifetime: QueueLifetime::Shared, bindings: vec![], prefetch }
}

/// Hands each delivery to `handle`, one after the other, and acknowledges it then. Never ends by
/// itself.
pub(super) async fn consume(
    bus: Arc<dyn Bus>,
    queue: QueueSpec,
    what: &'static str,
    mut handle: impl AsyncFnMut(&Delivery),
) {
    let mut backoff = Backoff::new(what);
    loop {
        let error = match bus.subscribe(queue.clone()).await {
            Ok(mut subscription) => {
                backoff.worked();
                let mut acknowledged = Ok(());
                while let (Ok(()), Some(delivery)) = (&acknowledged, subscription.next().await) {
                    handle(&delivery).await;
                    acknowledged = subscription.acknowledge_through(delivery.tag).await;
                }
                acknowledged.err().unwrap_or_else(|| BusError::Unreachable("cut off".into()))
            }
            Err(error) => error,
        };
        tokio::time::sleep(backoff.failed(&error)).await;
    }
}
