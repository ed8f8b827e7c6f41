//! How many files and sockets the process may have open, and how many of them HTTP may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit is not raised beyond this: some systems allow a thousand million.
const WANTED: u64 = 1024 * 1024;
/// Files that HTTP must leave free: databases with a reader for each worker, the log, the
/// connections to the broker, temporary files.
const RESERVED: u64 = 256;
/// Two services may share a process. Each gets a half, so that neither starves the other.
const SERVICES: u64 = 2;
/// With fewer files than this, users will be kept waiting: 64 connections for each service.
const FEW: u64 = RESERVED + SERVICES * 64;

/// Raises the soft limit of open files to the hard limit. The soft limit is 1024 on most systems,
/// for old programs that use `select`.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if wanted < FEW {
        tracing::warn!(
            limit = wanted,
            connections = share_of(wanted),
            "few files may be open, so few clients are served at a time: raise the hard limit of \
             open files to {FEW} at least (ulimit -Hn)"
        );
    }
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

/// How many HTTP connections one service may have open: its share of the files that databases and
/// broker leave.
pub fn max_connections() -> usize {
    share_of(getrlimit(Resource::Nofile).current.unwrap_or(WANTED))
}

/// Where there are few files, half of them are left to the rest.
fn share_of(open_files: u64) -> usize {
    let open_files = open_files.min(WANTED);
    let share = (open_files - RESERVED.min(open_files / 2)) / SERVICES;
    usize::try_from(share.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_and_their_databases_never_need_more_files_than_there_are() {
        for open_files in (4..2048).chain([65_536, u64::MAX]) {
            let taken = SERVICES * u64::try_from(share_of(open_files)).unwrap();
            assert!(taken + RESERVED.min(open_files / 2) <= open_files, "{open_files}");
        }
        assert_eq!((share_of(1024), share_of(10), share_of(0)), (384, 2, 1));
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        raise_limit();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let most = maximum.unwrap_or(WANTED).min(WANTED);
        assert!(current.is_none_or(|current| current >= most), "{current:?} of {maximum:?}");
    }
}
