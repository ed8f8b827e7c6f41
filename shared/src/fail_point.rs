//! Steps at which a test can end the process, as a power cut would, or make it do the wrong thing, as
//! a mistake in it would: the tests of faults must be able to fail.
//!
//! Without the feature `fail-points` nothing of it is compiled in. The fault tests of `standalone`
//! ask for it among their dev-dependencies, so no released binary has it.

/// Ends the process here if the environment variable `FAIL_POINT` is this `name`, or `name:n` and
/// it is the n-th time.
#[cfg(not(feature = "fail-points"))]
#[inline]
pub fn fail_point(_name: &'static str) {}

/// Whether to do the wrong thing here: if the environment variable `SABOTAGE` is this `name`, or
/// `name:n` and it is one of the n-th times.
#[cfg(not(feature = "fail-points"))]
#[inline]
pub fn sabotaged(_name: &'static str) -> bool {
    false
}

#[cfg(feature = "fail-points")]
pub use armed::{fail_point, sabotaged};

#[cfg(feature = "fail-points")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A global, because a crash is one: the whole process goes.
    static CRASH: OnceLock<Option<Armed>> = OnceLock::new();
    /// A global beside it.
    static SABOTAGE: OnceLock<Option<Armed>> = OnceLock::new();

    struct Armed {
        name: String,
        /// Which time counts, from 1.
        nth: u64,
        passed: AtomicU64,
    }

    impl Armed {
        /// Which time this is, if it is armed here.
        fn pass(&self, name: &str) -> Option<u64> {
            (self.name == name).then(|| self.passed.fetch_add(1, Ordering::Relaxed) + 1)
        }
    }

    /// Ends the process here if the environment variable `FAIL_POINT` is this `name`, or `name:n`
    /// and it is the n-th time.
    pub fn fail_point(name: &'static str) {
        let Some(armed) = CRASH.get_or_init(|| read("FAIL_POINT")) else { return };
        if armed.pass(name) == Some(armed.nth) {
            std::process::abort();
        }
    }

    /// Whether to do the wrong thing here: if the environment variable `SABOTAGE` is this `name`,
    /// or `name:n` and it is one of the n-th times.
    pub fn sabotaged(name: &'static str) -> bool {
        let Some(armed) = SABOTAGE.get_or_init(|| read("SABOTAGE")) else { return false };
        armed.pass(name).is_some_and(|time| time.is_multiple_of(armed.nth))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "no setting: --help of a release must not have it"
    )]
    fn read(variable: &str) -> Option<Armed> {
        let text = std::env::var(variable).ok()?;
        let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
        let (name, nth) = (name.to_owned(), nth.parse().ok()?);
        Some(Armed { name, nth, passed: AtomicU64::new(0) })
    }
}
