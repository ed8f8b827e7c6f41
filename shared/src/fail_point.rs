//! Steps at which a test can end the process, as a power cut would.
//!
//! Without the feature `fail-points` nothing of it is compiled in. The fault tests of `standalone`
//! ask for it among their dev-dependencies, so no released binary has it.

/// Ends the process here if the environment variable `FAIL_POINT` is this `name`, or `name:n` and
/// it is the n-th time.
#[cfg(not(feature = "fail-points"))]
#[inline]
pub fn fail_point(_name: &'static str) {}

#[cfg(feature = "fail-points")]
pub use armed::fail_point;

#[cfg(feature = "fail-points")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A global, because a crash is one: the whole process goes.
    static CRASH: OnceLock<Option<Armed>> = OnceLock::new();

    struct Armed {
        name: String,
        /// Which time counts, from 1.
        nth: u64,
        passed: AtomicU64,
    }

    /// Ends the process here if the environment variable `FAIL_POINT` is this `name`, or `name:n`
    /// and it is the n-th time.
    pub fn fail_point(name: &'static str) {
        let Some(armed) = CRASH.get_or_init(read) else { return };
        if armed.name == name && armed.passed.fetch_add(1, Ordering::Relaxed) + 1 == armed.nth {
            std::process::abort();
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "no setting: --help of a release must not have it"
    )]
    fn read() -> Option<Armed> {
        let text = std::env::var("FAIL_POINT").ok()?;
        let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
        let (name, nth) = (name.to_owned(), nth.parse().ok()?);
        Some(Armed { name, nth, passed: AtomicU64::new(0) })
    }
}
