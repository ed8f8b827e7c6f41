//! Consuming a queue for as long as the service lives, whatever becomes of the broker.

use std::sync::Arc;

use futures_util::StreamExt;
use shared::actors::Backoff;
use shared::bus::{Bus, BusError, Message, QueueLifetime, QueueSpec};

/// A queue of questions or commands to this service, whose consumers share the work.
pub(super) fn shared_queue(name: &str, prefetch: u16) -> QueueSpec {
    QueueSpec { name: name.into(), lifetime: QueueLifetime::Shared, bindings: vec![], prefetch }
}

/// Hands each message to `handle`, one after the other, and acknowledges it then. Never ends by
/// itself.
pub(super) async fn consume(
    bus: Arc<dyn Bus>,
    queue: QueueSpec,
    what: &'static str,
    mut handle: impl AsyncFnMut(Message),
) {
    let mut backoff = Backoff::new(what);
    loop {
        let error = match bus.subscribe(queue.clone()).await {
            Ok(mut subscription) => {
                backoff.worked();
                let mut acknowledged = Ok(());
                while let (Ok(()), Some(delivery)) = (&acknowledged, subscription.next().await) {
                    handle(delivery.message).await;
                    acknowledged = subscription.acknowledge_through(delivery.tag).await;
                }
                acknowledged.err().unwrap_or_else(|| BusError::Unreachable("cut off".into()))
            }
            Err(error) => error,
        };
        tokio::time::sleep(backoff.failed(&error)).await;
    }
}
