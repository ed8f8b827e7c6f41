//! How many files and sockets this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit is not raised beyond this: some systems allow a thousand million.
const WANTED: u64 = 1024 * 1024;

/// The limit that [`raise`] sets.
pub(super) fn limit() -> u64 {
    getrlimit(Resource::Nofile).maximum.map_or(WANTED, |maximum| maximum.min(WANTED))
}

/// Raises the soft limit to the hard limit. The soft limit is 1024 on most systems, for old programs
/// that use `select`.
pub(super) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = limit();
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => tracing::debug!(before = current, now = wanted, "raised the limit of open files"),
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            limit = current,
            "cannot raise the limit of open files"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        raise();
        let current = getrlimit(Resource::Nofile).current;
        assert!(current.is_none_or(|current| current >= limit()), "{current:?}");
    }
}
