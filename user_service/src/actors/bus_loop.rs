//! Consuming a queue for as long as the service lives, whatever becomes of the broker.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use shared::bus::{Bus, BusError, Message, QueueLifetime, QueueSpec};

/// The first wait after a failure; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait. Short: whoever comes back is served again within seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Waits longer after each failure, and logs only what changes.
pub(super) struct Backoff {
    /// What is tried, for the log.
    what: &'static str,
    /// The wait after the next failure; nothing while all is well.
    next: Option<Duration>,
}

impl Backoff {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, next: None }
    }

    /// Notes a failure, and tells how long to wait.
    pub(super) fn failed(&mut self, error: &BusError) -> Duration {
        if self.next.is_none() {
            let cause = error.source().map(tracing::field::display);
            tracing::warn!(error = %error, cause, "{} does not work; it is tried again", self.what);
        }
        let wait = self.next.unwrap_or(FIRST_WAIT);
        self.next = Some((wait * 2).min(LONGEST_WAIT));
        wait
    }

    /// Notes that it worked.
    pub(super) fn worked(&mut self) {
        if self.next.take().is_some() {
            tracing::info!("{} works again", self.what);
        }
    }
}

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
