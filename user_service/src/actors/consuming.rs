//! Consuming a queue of questions or commands to this service.

use futures_util::StreamExt;
use shared::bus::{Bus, BusError, Message, QueueLifetime, QueueSpec};

/// A queue whose consumers, all processes of this service, share the work.
pub(super) fn shared_queue(name: &str, prefetch: u16) -> QueueSpec {
    QueueSpec { name: name.into(), lifetime: QueueLifetime::Shared, bindings: vec![], prefetch }
}

/// Hands each message to `handle`, one after the other, and acknowledges it then. Ends only when
/// the queue cannot be consumed any more, to be called again.
pub(super) async fn consume(
    bus: &dyn Bus,
    queue: QueueSpec,
    mut handle: impl AsyncFnMut(Message),
) -> Result<(), BusError> {
    let mut subscription = bus.subscribe(queue).await?;
    while let Some(delivery) = subscription.next().await {
        handle(delivery.message).await;
        subscription.acknowledge_through(delivery.tag).await?;
    }
    Err(BusError::Unreachable("cut off".into()))
}
