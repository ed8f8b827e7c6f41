//! Delays the refusals of an overloaded server, so that a flood of them does not use up the
//! machine.
//!
//! Clients that ask again at once after a refusal, and ignore `Retry-After`, would keep the cores
//! busy with refusals, and nothing would be hashed. So a server sends a limited number of refusals
//! per second without delay, and holds the others. Holding an answer costs memory but no processor
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many undelayed refusals per second each worker adds to the common rate. The workers share
/// one rate, because the worker of a client's connection is chosen at random.
const PER_S: u64 = 2_000;
/// How far refusals may run ahead in a short burst: 200 for each worker are sent at once.
const AHEAD: Duration = Duration::from_millis(100);
/// The longest delay of a refused client: as long as `Retry-After` asks for.
const LONGEST: Duration = Duration::from_secs(1);

/// The pace of one server: the generic cell rate algorithm (ITU-T I.371), which delays instead of
/// dropping. Clones share it.
#[derive(Clone)]
pub(super) struct OverloadPacing {
    /// The average time between two refusals.
    interval: Duration,
    origin: Instant,
    /// When the next refusal would be due at an even rate, in nanoseconds since the origin.
    due: Arc<AtomicU64>,
}

impl OverloadPacing {
    pub(super) fn new(workers: usize) -> Self {
        let workers = u64::try_from(workers.max(1)).unwrap_or(1);
        let interval = Duration::from_nanos(1_000_000_000 / PER_S / workers);
        Self { interval, origin: Instant::now(), due: Arc::default() }
    }

    /// How long to hold a refusal that is ready now.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        let now = now.saturating_duration_since(self.origin);
        let not_past = |due: u64| Duration::from_nanos(due).max(now);
        let delay_of = |due: u64| not_past(due).saturating_sub(now + AHEAD);
        // At the longest delay, further refusals get the same delay, not a longer one.
        let next =
            |due: u64| (delay_of(due) < LONGEST).then(|| nanos(not_past(due) + self.interval));
        let updated = self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        updated.map_or(LONGEST, delay_of)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_out_at_once_and_what_is_above_the_rate_is_held() {
        let (pace, now) = (OverloadPacing::new(1), Instant::now());
        let delays: Vec<Duration> = (0..400).map(|_| pace.delay(now)).collect();
        assert_eq!(delays.iter().filter(|delay| delay.is_zero()).count(), 201);
        assert_eq!(delays[399] + AHEAD, 399 * pace.interval);
    }

    #[test]
    fn below_the_rate_of_all_workers_nothing_is_held() {
        let (pace, now) = (OverloadPacing::new(4), Instant::now());
        let clones = [pace.clone(), pace.clone()];
        let interval = Duration::from_micros(125);
        assert!((0..5_000_u32).all(|n| {
            let one = &clones[n as usize % 2];
            one.delay(now + n * interval).is_zero()
        }));
    }

    #[test]
    fn nobody_is_held_longer_than_retry_after_asks_and_a_flood_leaves_no_debt() {
        let (pace, now) = (OverloadPacing::new(2), Instant::now());
        let longest = (0..50_000).map(|_| pace.delay(now)).max();
        assert_eq!(longest, Some(LONGEST));
        assert_eq!(pace.delay(now + LONGEST + AHEAD), Duration::ZERO);
    }
}
