//! How many threads hash.

use std::fmt;

use super::limits::CgroupLimits;
use crate::config::{HashingArgs, cores};

const MIB: u64 = 1024 * 1024;
/// The least memory that is left to everything but hashing: the process itself, connections, caches
/// of the databases. 256 clients that log in at once were measured at 60 MiB (docs/performance.md).
const REST_MIN: u64 = 64 * MIB;
/// So much of the limit is left at least, as a fraction: page caches grow with it.
const REST_SHARE: u64 = 4;
/// Threads beside those that hash: actors, timers, the connections to the broker.
const OTHER_THREADS: u64 = 32;
/// For each hashing thread there may be an HTTP worker in each of two services, and one to spare.
const THREADS_FOR_EACH: u64 = 4;

/// A number of threads, and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ThreadCount {
    pub(super) threads: usize,
    pub(super) decided_by: Reason,
}

/// What decided the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Setting,
    Cores,
    MemoryLimit,
    ProcessLimit,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setting => "HASH_THREADS",
            Self::Cores => "the number of cores",
            Self::MemoryLimit => "the memory limit of the control group",
            Self::ProcessLimit => "the process limit of the control group",
        })
    }
}

/// The number for these settings on this machine, told in the log.
pub(super) fn thread_count(args: &HashingArgs) -> usize {
    let limits = CgroupLimits::read();
    let memory = u64::from(args.argon2_memory_kib) * 1024;
    let count = match args.hash_threads {
        Some(threads) => ThreadCount { threads: threads.into(), decided_by: Reason::Setting },
        None => fitting(cores(), memory, limits),
    };
    let ThreadCount { threads, decided_by } = count;
    tracing::info!(
        threads,
        memory_mib = memory * threads as u64 / MIB,
        memory_limit_mib = limits.memory.map(|limit| limit / MIB),
        process_limit = limits.processes,
        %decided_by,
        "hashing threads"
    );
    let most = fitting(usize::MAX, memory, limits);
    if threads > most.threads {
        tracing::warn!(
            threads,
            most = most.threads,
            limit = %most.decided_by,
            "HASH_THREADS is more than fits: the process may be killed"
        );
    }
    threads
}

/// As many as there are cores, and no more than memory and processes are allowed.
fn fitting(cores: usize, memory_of_each: u64, limits: CgroupLimits) -> ThreadCount {
    let by_memory = limits.memory.map(|limit| {
        let rest = REST_MIN.max(limit / REST_SHARE);
        (limit.saturating_sub(rest) / memory_of_each.max(1), Reason::MemoryLimit)
    });
    let by_processes = limits.processes.map(|limit| {
        (limit.saturating_sub(OTHER_THREADS) / THREADS_FOR_EACH, Reason::ProcessLimit)
    });
    let by_cores = (cores as u64, Reason::Cores);
    let all = [Some(by_cores), by_memory, by_processes];
    // Of equal numbers the first counts.
    let least = all.into_iter().flatten().min_by_key(|(threads, _)| *threads);
    let (threads, decided_by) = least.unwrap_or(by_cores);
    ThreadCount { threads: usize::try_from(threads).unwrap_or(usize::MAX).max(1), decided_by }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_A_HASH: u64 = 19_456 * 1024;

    fn with(cores: usize, memory_mib: Option<u64>, processes: Option<u64>) -> (usize, Reason) {
        let memory = memory_mib.map(|mib| mib * MIB);
        let count = fitting(cores, OF_A_HASH, CgroupLimits { memory, processes });
        (count.threads, count.decided_by)
    }

    #[test]
    fn threads_fit_into_cores_memory_and_processes() {
        assert_eq!(with(2, None, None), (2, Reason::Cores));
        assert_eq!(with(32, Some(512), Some(256)), (20, Reason::MemoryLimit));
        assert_eq!(with(8, Some(512), Some(256)), (8, Reason::Cores));
        assert_eq!(with(128, Some(65_536), Some(256)), (56, Reason::ProcessLimit));
    }

    #[test]
    fn there_is_one_thread_whatever_the_limits_are() {
        for (memory_mib, processes) in [(Some(1), None), (None, Some(1)), (Some(64), Some(0))] {
            assert_eq!(with(4, memory_mib, processes).0, 1);
        }
    }

    #[test]
    fn what_is_hashed_with_leaves_the_rest_its_memory() {
        for memory_mib in 90..4096 {
            let (threads, _) = with(1024, Some(memory_mib), None);
            let rest = (memory_mib * MIB).checked_sub(threads as u64 * OF_A_HASH);
            assert!(rest.is_some_and(|rest| rest >= REST_MIN), "{memory_mib} MiB");
        }
    }
}
