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
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    struct Armed {
        name: String,
        /// Passes that are left.
        passes: AtomicU64,
    }

    /// Ends the process here if the environment variable `FAIL_POINT` is this `name`, or `name:n`
    /// and it is the n-th time.
    pub fn fail_point(name: &'static str) {
        let Some(armed) = ARMED.get_or_init(read) else { return };
        if armed.name == name && armed.passes.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "no setting: --help of a release must not have it"
    )]
    fn read() -> Option<Armed> {
        let text = std::env::var("FAIL_POINT").ok()?;
        let (name, passes) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Armed { name: name.to_owned(), passes: AtomicU64::new(passes.parse().ok()?) })
    }
}
