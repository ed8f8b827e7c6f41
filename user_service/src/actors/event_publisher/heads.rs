//! Tells the end of the log every second.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use contract::Head;
use shared::actors::{Health, supervise};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, BusError};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::lease_keeper::Progress;
use super::until_closed;

const PERIOD: Duration = Duration::from_secs(1);

/// What it needs.
pub(super) struct Heads {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) codec: Codec,
    pub(super) head: watch::Receiver<Option<Head>>,
    pub(super) progress: Arc<Progress>,
}

impl Heads {
    /// Publishes a `Head` every second, even if events cannot be published: followers repair
    /// themselves by it, even while one queue keeps the broker from confirming any event.
    pub(super) async fn tell(&self, health: &Health, stopping: watch::Receiver<()>) {
        let stop = until_closed(stopping.clone());
        supervise(health, "publishing heads", stop, async || {
            let mut period = interval(PERIOD);
            period.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = until_closed(stopping.clone()) => return Ok::<(), BusError>(()),
                    _ = period.tick() => {}
                }
                self.tell_once().await;
            }
        })
        .await;
    }

    async fn tell_once(&self) {
        let Some(now) = *self.head.borrow() else { return };
        if !self.progress.is_ours() {
            return;
        }
        if let Err(error) = self.bus.publish(vec![self.codec.encode_head(&now)]).await {
            // The publishing loop warns of the same failure; the next second tries again.
            tracing::debug!(error = &error as &dyn Error, "the head was not published");
        }
    }
}
