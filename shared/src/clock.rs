//! Clocks as parameters, so that tests control them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::secrets::random_bytes;

/// Tells the time by two clocks: the wall clock, which can be set, and the machine's boot clock,
/// which nobody sets and which counts sleep. Clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    unix_ms: AtomicI64,
    boot_ms: AtomicI64,
    starts: AtomicU64,
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Clocks that stand still at `unix_ms` until a test moves them.
    pub fn manual(unix_ms: i64) -> Self {
        let (unix_ms, boot_ms) = (AtomicI64::new(unix_ms), AtomicI64::new(1_000_000));
        Self(Source::Manual(Arc::new(Manual { unix_ms, boot_ms, starts: AtomicU64::new(1) })))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z, by the wall clock.
    pub fn unix_ms(&self) -> i64 {
        match &self.0 {
            Source::System => system_unix_ms(),
            Source::Manual(manual) => manual.unix_ms.load(Ordering::Relaxed),
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z, rounded down: the unit of JWT claims.
    pub fn unix_s(&self) -> i64 {
        self.unix_ms().div_euclid(1000)
    }

    /// Milliseconds since the machine was started, sleep included (`CLOCK_BOOTTIME`).
    pub fn boot_ms(&self) -> i64 {
        match &self.0 {
            Source::System => {
                let now = clock_gettime(ClockId::Boottime);
                now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
            }
            Source::Manual(manual) => manual.boot_ms.load(Ordering::Relaxed),
        }
    }

    /// Names this start of the machine. If the system does not tell, every call gives another name.
    pub fn boot_id(&self) -> [u8; 16] {
        match &self.0 {
            Source::System => system_boot_id().unwrap_or_else(random_bytes),
            Source::Manual(manual) => {
                u128::from(manual.starts.load(Ordering::Relaxed)).to_be_bytes()
            }
        }
    }

    /// Lets time pass on manual clocks, for all who hold a clone; the machine's clocks stay.
    pub fn advance_ms(&self, by: i64) {
        if let Source::Manual(manual) = &self.0 {
            manual.unix_ms.fetch_add(by, Ordering::Relaxed);
            manual.boot_ms.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Sets a manual wall clock forward, or back, while no time passes.
    pub fn set_by_ms(&self, by: i64) {
        if let Source::Manual(manual) = &self.0 {
            manual.unix_ms.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// The machine of manual clocks is started again: its boot clock begins anew.
    pub fn restart_machine(&self) {
        if let Source::Manual(manual) = &self.0 {
            manual.starts.fetch_add(1, Ordering::Relaxed);
            manual.boot_ms.store(0, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn system_unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// As Linux tells it: a UUID.
fn system_boot_id() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits = text.trim().replace('-', "");
    HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok()
}

/// A time as RFC 3339 writes it, in UTC. Always with milliseconds, because it must convert back to
/// them: the hash of a record in the log covers its time.
pub fn rfc_3339(unix_ms: i64) -> String {
    let time = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_names_its_start_and_counts_from_it() {
        let clock = Clock::system();
        assert_eq!(clock.boot_id(), clock.boot_id());
        let earlier = clock.boot_ms();
        assert!(earlier > 0 && clock.boot_ms() >= earlier);
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_no_boot_clock() {
        let clock = Clock::manual(5_000);
        let boot_ms = clock.boot_ms();
        clock.set_by_ms(-2_000);
        assert_eq!((clock.unix_ms(), clock.boot_ms()), (3_000, boot_ms));
        clock.advance_ms(1_000);
        assert_eq!((clock.unix_ms(), clock.boot_ms()), (4_000, boot_ms + 1_000));
        let first = clock.boot_id();
        clock.restart_machine();
        assert_ne!(clock.boot_id(), first);
        assert_eq!((clock.unix_ms(), clock.boot_ms()), (4_000, 0));
    }
}
