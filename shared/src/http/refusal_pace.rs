//! Refusals that take their time, so that a flood of them does not take the machine.
//!
//! Whoever is refused and asks again at once, without heeding `Retry-After`, would keep the cores
//! busy with refusals, and nothing would be hashed. So one worker gives a number of refusals a
//! second without delay, and holds what is above that. To hold an answer costs memory and no time.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Between two refusals of one worker, in the long run: 2,000 a second.
const INTERVAL: Duration = Duration::from_micros(500);
/// So far the refusals of a short burst may run ahead: 200 of them go out at once.
const AHEAD: Duration = Duration::from_millis(100);
/// What a refused client has to wait at the most: as long as `Retry-After` asks for.
const LONGEST: Duration = Duration::from_secs(1);

/// The pace of one worker: the generic cell rate algorithm (ITU-T I.371), which delays instead of
/// dropping.
pub(super) struct RefusalPace {
    /// When the next refusal would be due if all came evenly.
    due: Cell<Instant>,
}

impl RefusalPace {
    pub(super) fn new() -> Self {
        Self { due: Cell::new(Instant::now()) }
    }

    /// How long to hold a refusal that is there now.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        let due = self.due.get().max(now);
        let delay = due.saturating_duration_since(now + AHEAD);
        if delay >= LONGEST {
            // The next ones wait as long as this one, and not longer.
            return LONGEST;
        }
        self.due.set(due + INTERVAL);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_out_at_once_and_what_is_above_the_rate_is_held() {
        let (pace, now) = (RefusalPace::new(), Instant::now());
        let delays: Vec<Duration> = (0..400).map(|_| pace.delay(now)).collect();
        assert_eq!(delays.iter().filter(|delay| delay.is_zero()).count(), 201);
        assert_eq!(delays[399] + AHEAD, 399 * INTERVAL);
    }

    #[test]
    fn below_the_rate_nothing_is_held() {
        let (pace, now) = (RefusalPace::new(), Instant::now());
        assert!((0..5_000).all(|n| pace.delay(now + n * INTERVAL).is_zero()));
    }

    #[test]
    fn nobody_is_held_longer_than_retry_after_asks_and_a_flood_leaves_no_debt() {
        let (pace, now) = (RefusalPace::new(), Instant::now());
        let longest = (0..50_000).map(|_| pace.delay(now)).max();
        assert_eq!(longest, Some(LONGEST));
        assert_eq!(pace.delay(now + LONGEST + AHEAD), Duration::ZERO);
    }
}
