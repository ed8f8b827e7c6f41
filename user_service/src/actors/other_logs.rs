//! Other logs at the same broker.
//!
//! The heads of another log come from a user_service with another database, for instance one that was
//! set up beside this system and given its broker, or one on a copy of this database that was given a
//! name of its own. Followers would go from one log to the other, and lose what they know. So who
//! hears another log publishes nothing and takes nothing from the queues until it is gone. Heads go
//! on: by them the other one knows.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use contract::topology::{HEAD_ROUTING_KEY, USERS_EXCHANGE, heads_queue};
use contract::{Head, LogName};
use data_encoding::HEXLOWER;
use futures_util::StreamExt;
use shared::actors::{Backoff, Health, supervise};
use shared::bus::cloud_event::Codec;
use shared::bus::{Binding, Bus, BusError, QueueLifetime, QueueSpec};
use shared::log_sync::Input;
use shared::secrets::random_bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long another log counts as there after its last head. Heads come each second.
const SILENCE: Duration = Duration::from_secs(5);
/// The name of the loop, in the log and at `/readyz`.
const HEARING: &str = "hearing the heads of other logs";
/// How many heads may be on their way here.
const PREFETCH: u16 = 20;

/// What is known of other logs. Clones know the same.
#[derive(Clone, Debug, Default)]
pub struct OtherLogs(watch::Sender<Option<Heard>>);

/// Another log.
#[derive(Clone, Copy, Debug)]
struct Heard {
    log: LogName,
    /// Its last head.
    at: Instant,
    /// Its absence was not told since.
    is_told: bool,
}

impl Heard {
    fn is_there(&self) -> bool {
        self.at.elapsed() < SILENCE
    }
}

impl OtherLogs {
    /// Whether another log is at the broker now.
    pub fn are_heard(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(Heard::is_there)
    }

    /// What `/readyz` shows, if one is.
    pub fn degraded(&self) -> Option<String> {
        let heard = self.0.borrow();
        let Heard { log, .. } = heard.as_ref().filter(|heard| heard.is_there())?;
        Some(format!(
            "another log ({log}) is told at this broker, by a user_service with another database: \
             nothing is published, and no follower answered, until one of them is gone"
        ))
    }

    /// Waits until another log is at the broker.
    pub(super) async fn heard(&self) {
        let mut heard = self.0.subscribe();
        // This is a sender: the channel lives.
        let _ = heard.wait_for(|heard| heard.as_ref().is_some_and(Heard::is_there)).await;
    }

    /// A head was told, while this process's log has the name `own`.
    pub(super) fn note(&self, own: LogName, head: &Head) {
        match head.log {
            Some(log) if log != own => {
                let was_there = self.are_heard();
                self.0.send_replace(Some(Heard { log, at: Instant::now(), is_told: true }));
                if !was_there {
                    tracing::error!(
                        %log,
                        %own,
                        "another log is told at this broker, by a user_service with another database: \
                         nothing is published, and no follower answered, until one of them is gone"
                    );
                }
            }
            // Its own, or one of a version that does not tell.
            _ => self.note_absence(),
        }
    }

    fn note_absence(&self) {
        let was_told = self.0.send_if_modified(|heard| {
            let gone = heard.as_mut().filter(|heard| !heard.is_there());
            gone.is_some_and(|gone| std::mem::replace(&mut gone.is_told, false))
        });
        if was_told {
            tracing::info!("the other log is told no more: this process goes on");
        }
    }
}

/// Hears heads.
pub(super) struct Hearing {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) codec: Codec,
    /// The end of this process's log.
    pub(super) head: watch::Receiver<Option<Head>>,
    pub(super) others: OtherLogs,
}

impl Hearing {
    /// Hears them until `stopping` ends.
    pub(super) async fn hear(&self, health: &Health, stopping: impl Future<Output = ()>) {
        if !self.bus.reaches_other_processes() {
            return;
        }
        let hearing = supervise(health, HEARING, pending(), async || self.run().await);
        tokio::select! {
            () = hearing => {}
            () = stopping => {}
        }
    }

    /// Never returns: after any failure of the bus it subscribes again.
    async fn run(&self) -> Result<(), Infallible> {
        let mut backoff = Backoff::new(HEARING);
        loop {
            let Err(error) = self.subscribe_once(&mut backoff).await;
            sleep(backoff.failed(&error)).await;
        }
    }

    async fn subscribe_once(&self, backoff: &mut Backoff) -> Result<Infallible, BusError> {
        let session = HEXLOWER.encode(&random_bytes::<8>());
        let binding = Binding {
            exchange: USERS_EXCHANGE.to_owned(),
            routing_key: HEAD_ROUTING_KEY.to_owned(),
        };
        let queue = QueueSpec {
            name: heads_queue(&session),
            lifetime: QueueLifetime::Transient,
            bindings: vec![binding],
            prefetch: PREFETCH,
        };
        let mut subscription = self.bus.subscribe(queue).await?;
        backoff.worked();
        while let Some(delivery) = subscription.next().await {
            // What cannot be read is a dead letter of those who follow.
            let decoded = self.codec.decode_control(&delivery).map(|decoded| decoded.input);
            let own = self.head.borrow().and_then(|head| head.log);
            if let (Ok(Input::Head(head)), Some(own)) = (decoded, own) {
                self.others.note(own, &head);
            }
            subscription.acknowledge_through(delivery.tag).await?;
        }
        Err(BusError::Unreachable("cut off".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Incarnation, Position};

    fn head(log: Option<LogName>) -> Head {
        let (incarnation, position) = (Incarnation([1; 16]), Position::default());
        Head { incarnation, position, checksum: None, log }
    }

    #[tokio::test(start_paused = true)]
    async fn another_log_is_there_until_it_has_been_silent_for_a_while() {
        let (own, other) = (LogName([1; 16]), LogName([2; 16]));
        let others = OtherLogs::default();
        for not_another in [head(Some(own)), head(None)] {
            others.note(own, &not_another);
            assert!(!others.are_heard(), "{not_another:?}");
        }
        others.note(own, &head(Some(other)));
        others.heard().await;
        assert!(others.degraded().unwrap().contains(&other.to_string()));
        let last_moment = Duration::from_millis(1);
        tokio::time::advance(SILENCE.checked_sub(last_moment).unwrap()).await;
        others.note(own, &head(Some(own)));
        assert!(others.are_heard());
        tokio::time::advance(last_moment).await;
        assert_eq!((others.are_heard(), others.degraded()), (false, None));
        let again = tokio::time::timeout(SILENCE, others.heard());
        assert!(again.await.is_err(), "an old head is nothing new");
    }
}
