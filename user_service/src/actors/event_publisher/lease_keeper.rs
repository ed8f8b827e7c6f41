//! The publisher's lease: of the processes behind one log, only one publishes.
//!
//! A loop of its own keeps it, because publishing may wait for the bus for long. How long the lease
//! holds is counted from before it was asked for, by a clock that counts sleep: a process that was
//! stopped for longer finds out before it publishes again.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::{Head, Position};
use shared::actors::{Health, Mailbox, ask, supervise};
use shared::bus::Bus;
use shared::clock::Clock;
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Published, until_closed};
use crate::actors::other_logs::OtherLogs;
use crate::actors::user_repository::UserRepository;
use crate::store::{LEASE_LENGTH, Lease, LeaseClaim};

/// How often the holder renews it, and the longest that others wait before they try to take it.
const PERIOD: Duration = Duration::from_secs(1);

/// The lease, as this process knows it.
#[derive(Clone, Debug)]
pub struct Tenure {
    /// Who has it.
    pub lease: Lease,
    /// Until when, by the boot clock.
    trusted_until_ms: i64,
}

impl Tenure {
    /// Who publishes, for operators.
    pub fn told(&self) -> String {
        let Lease { holder, is_ours, .. } = &self.lease;
        if *is_ours { format!("{holder} (this process)") } else { holder.clone() }
    }
}

/// What the loops of the publisher share.
pub(super) struct Progress {
    /// How much of the log the bus has confirmed. `/metrics` shows it.
    pub(super) published: watch::Sender<Option<Published>>,
    /// Who publishes. `/readyz` shows it.
    pub(super) tenure: watch::Sender<Option<Tenure>>,
    pub(super) clock: Clock,
    /// Another log at the broker keeps this one from being published.
    pub(super) others: OtherLogs,
}

impl Progress {
    /// Whether this process may publish events now.
    pub(super) fn may_publish(&self) -> bool {
        self.is_ours() && !self.others.are_heard()
    }

    /// Whether this process has the lease now.
    pub(super) fn is_ours(&self) -> bool {
        let now_ms = self.clock.boot_ms();
        let tenure = self.tenure.borrow();
        tenure.as_ref().is_some_and(|known| known.lease.is_ours && now_ms < known.trusted_until_ms)
    }

    pub(super) fn seq(&self) -> i64 {
        self.published.borrow().map_or(0, |published| published.seq)
    }

    /// The bus has confirmed the record at this place, and all before it.
    pub(super) fn confirm(&self, place: Position) {
        self.set_published(|published| {
            // Not if others have published more while the bus kept this process waiting.
            if published.seq < place.seq {
                (published.seq, published.confirmed) = (place.seq, Some(place));
            }
        });
    }

    /// When publishing began that left nothing unpublished.
    pub(super) fn catch_up(&self, began_at: Instant) {
        self.set_published(|published| published.caught_up_at = began_at);
    }

    fn set_published(&self, set: impl FnOnce(&mut Published)) {
        self.published.send_modify(|published| {
            if let Some(published) = published {
                set(published);
            }
        });
    }
}

/// Keeps the lease.
pub(super) struct LeaseKeeper {
    pub(super) repository: Mailbox<UserRepository>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) head: watch::Receiver<Option<Head>>,
    pub(super) progress: Arc<Progress>,
}

impl LeaseKeeper {
    /// Claims it again and again until it is stopped.
    pub(super) async fn keep(&self, health: &Health, stopping: watch::Receiver<()>) {
        let what = "keeping the publisher's lease";
        supervise(health, what, until_closed(stopping.clone()), async || {
            loop {
                let pause = self.claim(self.wanted_length()).await;
                tokio::select! {
                    () = until_closed(stopping.clone()) => return Ok::<(), Infallible>(()),
                    () = sleep(pause) => {}
                }
            }
        })
        .await;
    }

    /// Without a broker it is offered: another process may reach one.
    fn wanted_length(&self) -> Duration {
        if self.bus.status().is_connected() { LEASE_LENGTH } else { Duration::ZERO }
    }

    /// Offers it to the others, after what was published is recorded.
    pub(super) async fn give_up(&self) {
        if self.progress.is_ours() {
            self.claim(Duration::ZERO).await;
        }
    }

    /// Claims it once. Returns when to claim it again.
    pub(super) async fn claim(&self, length: Duration) -> Duration {
        let asked_ms = self.progress.clock.boot_ms();
        let before = *self.progress.published.borrow();
        let confirmed = before.and_then(|published| published.confirmed);
        match ask(&self.repository, LeaseClaim { confirmed, length }).await {
            Ok(Ok(lease)) => {
                // What is offered stays ours until somebody takes it, which the next claim tells.
                let trusted = if length.is_zero() { LEASE_LENGTH } else { lease.left };
                let trusted_until_ms = asked_ms.saturating_add(milliseconds(trusted));
                let pause = if lease.is_ours { PERIOD } else { lease.left.min(PERIOD) };
                self.learn(before.map(|published| published.seq), lease, trusted_until_ms);
                pause
            }
            // Whoever is at fault says so itself. The lease runs out meanwhile.
            Ok(Err(error)) => not_claimed(&error),
            Err(error) => not_claimed(&error),
        }
    }

    /// `before` is what was published before the claim.
    fn learn(&self, before: Option<i64>, lease: Lease, trusted_until_ms: i64) {
        let Progress { published, tenure, .. } = &*self.progress;
        let was_ours = self.progress.is_ours();
        // While it stays ours and nothing is amiss, publishing may have gone on since.
        if !(was_ours && lease.is_ours && before == Some(lease.published)) {
            let is_whole =
                self.head.borrow().is_some_and(|head| head.position.seq <= lease.published);
            published.send_modify(|known| {
                let caught_up_at = match known {
                    Some(known) if !is_whole => known.caught_up_at,
                    _ => Instant::now(),
                };
                *known = Some(Published { seq: lease.published, confirmed: None, caught_up_at });
            });
        }
        let is_another = |known: &Tenure| known.lease.holder != lease.holder;
        if tenure.borrow().as_ref().is_some_and(is_another) {
            let whose = if lease.is_ours { "this" } else { "another" };
            tracing::info!(holder = lease.holder, "{whose} process publishes the log now");
        }
        tenure.send_replace(Some(Tenure { lease, trusted_until_ms }));
    }
}

fn not_claimed(error: &(dyn Error + 'static)) -> Duration {
    tracing::debug!(error, "the publisher's lease was not claimed");
    PERIOD
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_stopped_for_longer_than_its_lease_finds_out() {
        let clock = Clock::manual(1_700_000_000_000);
        let lease =
            |is_ours| Lease { holder: "host/1".into(), is_ours, published: 7, left: LEASE_LENGTH };
        let progress = Progress {
            published: watch::Sender::new(None),
            tenure: watch::Sender::new(None),
            clock: clock.clone(),
            others: OtherLogs::default(),
        };
        assert!(!progress.is_ours(), "nothing is known");
        let trusted_until_ms = clock.boot_ms() + milliseconds(LEASE_LENGTH);
        progress.tenure.send_replace(Some(Tenure { lease: lease(true), trusted_until_ms }));
        clock.advance_ms(milliseconds(LEASE_LENGTH) - 1);
        assert!(progress.is_ours());
        clock.advance_ms(1);
        assert!(!progress.is_ours(), "another may have it by now");
        let trusted_until_ms = clock.boot_ms() + milliseconds(LEASE_LENGTH);
        progress.tenure.send_replace(Some(Tenure { lease: lease(false), trusted_until_ms }));
        assert!(!progress.is_ours());
    }
}
