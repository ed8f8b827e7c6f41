//! Clocks as parameters, so that tests control them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time. Clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `unix_ms` until [`Clock::advance_ms`] turns it.
    pub fn manual(unix_ms: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(unix_ms))))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_ms(&self) -> i64 {
        match &self.0 {
            Source::System => system_unix_ms(),
            Source::Manual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z, rounded down: the unit of JWT claims.
    pub fn unix_s(&self) -> i64 {
        self.unix_ms().div_euclid(1000)
    }

    /// Turns a manual clock forward for all who hold a clone of it; the machine's clock stays.
    pub fn advance_ms(&self, by: i64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(by, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn system_unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Time that only goes forward, whatever is done to the wall clock. Clones tell the same time.
#[derive(Clone, Debug)]
pub struct MonotonicClock(MonotonicSource);

#[derive(Clone, Debug)]
enum MonotonicSource {
    /// Since the clock was made.
    System(Instant),
    /// In microseconds.
    Manual(Arc<AtomicU64>),
}

impl MonotonicClock {
    /// The machine's.
    pub fn system() -> Self {
        Self(MonotonicSource::System(Instant::now()))
    }

    /// A clock that stands still until [`MonotonicClock::advance`] turns it.
    pub fn manual() -> Self {
        Self(MonotonicSource::Manual(Arc::default()))
    }

    /// Microseconds since some moment that stays the same.
    pub fn now_us(&self) -> u64 {
        match &self.0 {
            MonotonicSource::System(start) => {
                u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
            }
            MonotonicSource::Manual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Turns a manual clock forward for all who hold a clone of it; the machine's clock stays.
    pub fn advance(&self, by: Duration) {
        if let MonotonicSource::Manual(now) = &self.0 {
            let by_us = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
            now.fetch_add(by_us, Ordering::Relaxed);
        }
    }
}
