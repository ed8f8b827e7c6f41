//! Pauses that grow while something fails, and the log lines about failure and recovery.

use std::collections::VecDeque;
use std::error::Error;
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::ErrorChain;

/// The first pause of every retry, unless its caller has a reason for another.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause. It is short: a server that comes back is used again within about a second.
const LONGEST: Duration = Duration::from_secs(1);
/// How long the work must succeed before a failure counts as a new one. Work that succeeds for a
/// moment and fails again, over and over, must not be retried at full speed.
pub(crate) const HEALTHY: Duration = Duration::from_secs(5);
/// If a failure returns after it had seemed to be over, the same cause is logged again at most this
/// often.
const REPEATED: Duration = Duration::from_mins(1);
/// How many causes are remembered: they may take turns.
const CAUSES_MAX: usize = 8;

/// A pause that is twice as long each time.
#[derive(Clone, Copy, Debug)]
pub struct GrowingPause {
    first: Duration,
    next: Duration,
}

impl Default for GrowingPause {
    /// Begins with the pause that all retries begin with: 100 ms.
    fn default() -> Self {
        Self::new(FIRST)
    }
}

impl GrowingPause {
    /// Begins with this pause.
    pub const fn new(first: Duration) -> Self {
        Self { first, next: first }
    }

    /// The pause now, and never more than the longest one.
    pub fn take(&mut self, longest: Duration) -> Duration {
        let pause = self.next.min(longest);
        self.next = pause.saturating_mul(2);
        pause
    }

    /// Begins again with the first pause.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Waits longer after each failure, and logs one line per cause: a new cause is logged, a repeated
/// one is not, and the recovery is logged once.
#[derive(Debug)]
pub struct Backoff {
    /// What is tried, for the log: "publishing events".
    what: &'static str,
    longest: Duration,
    /// The pause after the next failure.
    pause: GrowingPause,
    /// Since when it works; `None` while it fails or has not been tried yet.
    works_since: Option<Instant>,
    /// The causes that were logged lately.
    logged: VecDeque<Logged>,
}

#[derive(Debug)]
struct Logged {
    cause: String,
    at: Instant,
    /// Whether the log says that it works again.
    is_over: bool,
}

impl Backoff {
    /// For work that is named as an activity ("publishing events") and must recover within seconds:
    /// pauses from 100 ms to 1 s.
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            longest: LONGEST,
            pause: GrowingPause::default(),
            works_since: None,
            logged: VecDeque::new(),
        }
    }

    /// With another longest pause.
    #[must_use]
    pub fn with_longest(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Notes a failure, logs it if its cause is new, and returns how long to wait.
    pub fn failed(&mut self, error: &(dyn Error + 'static)) -> Duration {
        if self.works_since.take().is_some_and(|since| since.elapsed() >= HEALTHY) {
            self.reset();
        }
        let cause = ErrorChain(error).to_string();
        let is_known = self.logged.iter().any(|logged| {
            logged.cause == cause && (!logged.is_over || logged.at.elapsed() < REPEATED)
        });
        if !is_known {
            tracing::warn!(error, "{} does not work; trying again", self.what);
            self.logged.retain(|logged| logged.cause != cause);
            self.logged.truncate(CAUSES_MAX - 1);
            self.logged.push_front(Logged { cause, at: Instant::now(), is_over: false });
        }
        self.pause.take(self.longest)
    }

    /// Notes that it has worked for a while: the next failure counts as a new one.
    pub(super) fn recovered(&mut self) {
        self.worked();
        self.reset();
    }

    fn reset(&mut self) {
        self.pause.reset();
        self.logged.clear();
    }

    /// Notes that it works. May be called each time: only the first call counts.
    pub fn worked(&mut self) {
        self.works_since.get_or_insert_with(Instant::now);
        let mut failing = self.logged.iter_mut().filter(|logged| !logged.is_over).peekable();
        if failing.peek().is_some() {
            failing.for_each(|logged| logged.is_over = true);
            tracing::info!("{} works again", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::test_log::logged_by;
    use std::io;
    use tokio::time::advance;

    fn fail(backoff: &mut Backoff, cause: &str) -> u128 {
        backoff.failed(&io::Error::other(cause.to_owned())).as_millis()
    }

    #[test]
    fn the_pause_grows_up_to_its_limit() {
        let mut backoff = Backoff::new("trying");
        let pauses: Vec<u128> = (0..6).map(|_| fail(&mut backoff, "x")).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        let mut backoff = Backoff::new("trying").with_longest(Duration::from_secs(30));
        assert_eq!((0..20).map(|_| fail(&mut backoff, "x")).max(), Some(30_000));
    }

    #[test]
    fn the_longest_pause_may_change_and_a_reset_begins_again() {
        let seconds = Duration::from_secs;
        let mut pause = GrowingPause::new(seconds(1));
        assert_eq!([1, 2, 4, 5].map(|_| pause.take(seconds(5)).as_secs()), [1, 2, 4, 5]);
        assert_eq!([30, 30, 2].map(|most| pause.take(seconds(most)).as_secs()), [10, 20, 2]);
        pause.reset();
        assert_eq!(pause.take(seconds(5)), seconds(1));
        let mut endless = GrowingPause::new(seconds(1));
        assert!((0..200).all(|_| endless.take(Duration::MAX) > Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn only_seconds_of_health_make_the_pause_short_again() {
        let mut backoff = Backoff::new("trying");
        for _ in 0..5 {
            fail(&mut backoff, "x");
        }
        backoff.worked();
        advance(HEALTHY * 9 / 10).await;
        assert_eq!(fail(&mut backoff, "x"), 1000, "it worked for a moment only");
        backoff.worked();
        advance(HEALTHY / 2).await;
        backoff.worked();
        advance(HEALTHY / 2).await;
        assert_eq!(fail(&mut backoff, "x"), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_has_one_line_for_each_cause_and_one_for_the_recovery() {
        let log = logged_by(async {
            let mut backoff = Backoff::new("trying");
            backoff.worked();
            for cause in ["refused", "refused", "no such vhost", "no such vhost"] {
                fail(&mut backoff, cause);
            }
            backoff.worked();
            backoff.worked();
            // It flaps.
            for _ in 0..100 {
                fail(&mut backoff, "no such vhost");
                backoff.worked();
            }
            advance(REPEATED).await;
            for _ in 0..100 {
                fail(&mut backoff, "no such vhost");
            }
            // It works for a while.
            backoff.worked();
            advance(HEALTHY).await;
            fail(&mut backoff, "no such vhost");
        })
        .await;
        let lines: Vec<&str> = log.lines().filter_map(|line| line.split(": ").nth(1)).collect();
        assert_eq!(
            lines,
            [
                "trying does not work; trying again error=\"refused\"",
                "trying does not work; trying again error=\"no such vhost\"",
                "trying works again",
                "trying does not work; trying again error=\"no such vhost\"",
                "trying works again",
                "trying does not work; trying again error=\"no such vhost\"",
            ]
        );
    }
}
