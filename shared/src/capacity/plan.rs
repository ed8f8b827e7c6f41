//! The arithmetic of [`Capacity`]: pure.

use std::fmt;

use super::Capacity;
use super::limits::{Limit, LimitOf, Limits};

const MIB: u64 = 1024 * 1024;
/// The memory of an HTTP worker: measured are 0.8 MiB.
const WORKER_MEMORY: u64 = MIB;
/// HTTP workers take no more of the limit of memory than this part of it.
const WORKERS_SHARE: u64 = 8;
/// The files of an HTTP worker: its reader's database, and the poll of its runtime.
const WORKER_FILES: u64 = 4;
/// So many connections for each worker are aimed at.
const WORKER_CONNECTIONS: u64 = 16;

/// What everything else takes: actors, databases, the connections to the broker.
struct Rest {
    threads: u64,
    memory: u64,
    files: u64,
    /// The part of the limit of memory that is left to it, at least, as page caches grow with it:
    /// one in so many. 0: none.
    memory_share: u64,
}

/// Without this, it does not run. A bit less than what was measured of standalone without HTTP
/// workers and hashing threads, with a broker and nothing to do: 15 threads, 34 MiB, 69 files.
const LEAST: Rest = Rest { threads: 12, memory: 32 * MIB, files: 64, memory_share: 0 };
/// With this, it runs well: 256 clients that log in at once need 60 MiB (docs/performance.md).
const COMFORTABLE: Rest = Rest { threads: 32, memory: 60 * MIB, files: 96, memory_share: 4 };

/// What the settings say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// Services in this process, each with HTTP workers of its own.
    pub(super) services: u64,
    pub(super) http_workers: Option<u64>,
    pub(super) hash_threads: Option<u64>,
    /// Memory of one hash, in bytes.
    pub(super) hash_memory: u64,
}

/// A number, and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) number: u64,
    pub(super) by: Reason,
}

/// What decided a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Setting(&'static str),
    Cores,
    Limit(LimitOf),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(name) => f.write_str(name),
            Self::Cores => f.write_str("the number of cores"),
            Self::Limit(limit) => limit.fmt(f),
        }
    }
}

/// How many workers and threads there will be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    services: u64,
    hash_memory: u64,
    /// HTTP workers of each service.
    pub(super) workers: Decided,
    pub(super) hash_threads: Decided,
}

impl Plan {
    /// As many as there are cores, where the settings leave it open, and no more than is comfortable
    /// within the limits; but one at least.
    pub(super) fn new(demand: &Demand, limits: &Limits) -> Self {
        let Demand { services, http_workers, hash_threads, hash_memory } = *demand;
        let rest = COMFORTABLE;
        let workers = decide(
            limits.cores,
            ("HTTP_WORKERS", http_workers),
            [
                // Hashing gets a part as large as that of one service.
                limits.threads.map(|limit| (limit, less(limit, rest.threads) / (services + 1))),
                limits
                    .memory
                    .map(|limit| (limit, limit.amount / WORKERS_SHARE / WORKER_MEMORY / services)),
                Some((limits.files, {
                    let files_of_each = services * (WORKER_FILES + WORKER_CONNECTIONS);
                    less(limits.files, rest.files) / files_of_each
                })),
            ],
        );
        let all_workers = services * workers.number;
        let hash_threads = decide(
            limits.cores,
            ("HASH_THREADS", hash_threads),
            [
                limits.threads.map(|limit| (limit, less(limit, rest.threads + all_workers))),
                limits.memory.map(|limit| {
                    (limit, less(limit, rest.memory(all_workers, limit)) / hash_memory.max(1))
                }),
                None,
            ],
        );
        Self { services, hash_memory, workers, hash_threads }
    }

    /// Threads of HTTP and hashing.
    pub(super) fn threads(&self) -> u64 {
        self.all_workers() + self.hash_threads.number
    }

    pub(super) fn hash_memory_mib(&self) -> u64 {
        self.hash_threads.number * self.hash_memory / MIB
    }

    pub(super) fn capacity(&self, limits: &Limits) -> Capacity {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let connections = less(limits.files, self.files(&COMFORTABLE)) / self.services;
        Capacity {
            http_workers: number(self.workers.number),
            // The server accepts one for each worker at least.
            connections: number(connections.max(self.workers.number)),
            hash_threads: number(self.hash_threads.number),
        }
    }

    /// Limits that are too low for this to run at all: a line each.
    pub(super) fn problems(&self, limits: &Limits) -> Vec<String> {
        self.beyond(limits, &LEAST)
    }

    /// Limits that are too low for this to run well: a line each.
    pub(super) fn shortages(&self, limits: &Limits) -> Vec<String> {
        self.beyond(limits, &COMFORTABLE)
    }

    fn all_workers(&self) -> u64 {
        self.services * self.workers.number
    }

    /// Files beside those of connections.
    fn files(&self, rest: &Rest) -> u64 {
        rest.files + WORKER_FILES * self.all_workers()
    }

    fn beyond(&self, limits: &Limits, rest: &Rest) -> Vec<String> {
        let (workers, hashing) = (self.all_workers(), self.hash_threads.number);
        let mut lines = Vec::new();
        if let Some(Limit { amount, of }) = limits.threads {
            let threads = rest.threads + self.threads();
            if threads > amount {
                lines.push(format!(
                    "{threads} threads are needed ({workers} HTTP workers, {hashing} hashing \
                     threads, {} others), and {of} leaves {amount}: lower HTTP_WORKERS or \
                     HASH_THREADS, or raise the limit",
                    rest.threads
                ));
            }
        }
        if let Some(limit @ Limit { amount, of }) = limits.memory {
            let others = rest.memory(workers, limit);
            let memory = others.saturating_add(hashing.saturating_mul(self.hash_memory));
            if memory > amount {
                lines.push(format!(
                    "{} MiB of memory are needed ({hashing} hashing threads with {} MiB each, {} \
                     MiB for the rest), and {of} is {} MiB: lower HASH_THREADS or \
                     ARGON2_MEMORY_KIB, or raise the limit",
                    memory.div_ceil(MIB),
                    self.hash_memory.div_ceil(MIB),
                    others.div_ceil(MIB),
                    amount / MIB
                ));
            }
        }
        let Limit { amount, of } = limits.files;
        // One connection for each worker.
        let files = self.files(rest) + workers;
        if files > amount {
            lines.push(format!(
                "{files} files are needed ({workers} HTTP workers), and {of} is {amount}: lower \
                 HTTP_WORKERS, or raise the limit"
            ));
        }
        lines
    }
}

impl Rest {
    /// The memory of everything but hashing.
    fn memory(&self, workers: u64, limit: Limit) -> u64 {
        let share = limit.amount.checked_div(self.memory_share).unwrap_or_default();
        share.max(self.memory + workers * WORKER_MEMORY)
    }
}

fn less(limit: Limit, taken: u64) -> u64 {
    limit.amount.saturating_sub(taken)
}

/// The setting, or else the lowest of the cores and the limits, but 1 at least.
fn decide(
    cores: u64,
    (name, setting): (&'static str, Option<u64>),
    limits: [Option<(Limit, u64)>; 3],
) -> Decided {
    if let Some(number) = setting {
        return Decided { number, by: Reason::Setting(name) };
    }
    let by_limits = limits.into_iter().flatten();
    let by_limits = by_limits
        .map(|(limit, number)| Decided { number: number.max(1), by: Reason::Limit(limit.of) });
    let by_cores = Decided { number: cores.max(1), by: Reason::Cores };
    // Of equal numbers the first counts.
    by_limits.fold(by_cores, |least, next| if next.number < least.number { next } else { least })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OF_A_HASH: u64 = 19_456 * 1024;
    const OPEN: Demand =
        Demand { services: 2, http_workers: None, hash_threads: None, hash_memory: OF_A_HASH };

    fn limits(cores: u64, memory_mib: Option<u64>, threads: Option<u64>, files: u64) -> Limits {
        let limit = |amount, of| Limit { amount, of };
        Limits {
            cores,
            memory: memory_mib.map(|mib| limit(mib * MIB, LimitOf::ControlGroupMemory)),
            threads: threads.map(|threads| limit(threads, LimitOf::ControlGroupProcesses)),
            files: limit(files, LimitOf::OpenFiles),
        }
    }

    fn planned(demand: Demand, limits: &Limits) -> (Plan, Vec<String>) {
        let plan = Plan::new(&demand, limits);
        (plan, plan.problems(limits))
    }

    #[test]
    fn threads_follow_the_cores_where_there_is_room() {
        let (plan, problems) = planned(OPEN, &limits(2, None, None, 1 << 20));
        assert_eq!(plan.workers, Decided { number: 2, by: Reason::Cores });
        assert_eq!(plan.hash_threads, Decided { number: 2, by: Reason::Cores });
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn threads_fit_into_the_limits_of_memory_and_processes() {
        let one = Demand { services: 1, ..OPEN };
        let of_compose = limits(32, Some(512), Some(256), 1 << 20);
        let (plan, _) = planned(one, &of_compose);
        assert_eq!(plan.workers, Decided { number: 32, by: Reason::Cores });
        let by_memory = Reason::Limit(LimitOf::ControlGroupMemory);
        assert_eq!(plan.hash_threads, Decided { number: 20, by: by_memory });
        let (plan, _) = planned(one, &limits(128, Some(65_536), Some(256), 1 << 20));
        let by_processes = Reason::Limit(LimitOf::ControlGroupProcesses);
        assert_eq!(plan.workers, Decided { number: 112, by: by_processes });
        assert_eq!(plan.hash_threads, Decided { number: 112, by: by_processes });
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_with_the_numbers() {
        let refused = |demand, limits: &Limits| planned(demand, limits).1.join("\n");
        let threads = Demand { http_workers: Some(2), hash_threads: Some(100), ..OPEN };
        assert_eq!(
            refused(threads, &limits(2, None, Some(64), 1 << 20)),
            "116 threads are needed (4 HTTP workers, 100 hashing threads, 12 others), and the \
             process limit of the control group leaves 64: lower HTTP_WORKERS or HASH_THREADS, or \
             raise the limit"
        );
        let workers = Demand { http_workers: Some(64), ..OPEN };
        let problem = refused(workers, &limits(2, None, None, 320));
        assert!(problem.starts_with("704 files are needed (128 HTTP workers)"), "{problem}");
        let memory = Demand { hash_memory: 1024 * MIB, ..OPEN };
        let problem = refused(memory, &limits(2, Some(100), None, 1 << 20));
        let expected =
            "1060 MiB of memory are needed (1 hashing threads with 1024 MiB each, 36 MiB";
        assert!(problem.starts_with(expected), "{problem}");
    }

    proptest! {
        #[test]
        fn what_is_left_open_fits_into_every_limit_in_which_anything_fits(
            services in 1..=2_u64,
            cores in 1..=1024_u64,
            memory_mib in proptest::option::of(56..=65_536_u64),
            threads in proptest::option::of(15..=4096_u64),
            files in 74..=8192_u64,
        ) {
            let limits = limits(cores, memory_mib, threads, files);
            let demand = Demand { services, ..OPEN };
            let (plan, problems) = planned(demand, &limits);
            prop_assert!(problems.is_empty(), "{plan:?}: {problems:?}");
            let Capacity { http_workers, connections, hash_threads } = plan.capacity(&limits);
            prop_assert!(http_workers >= 1 && hash_threads >= 1 && connections >= http_workers);
            let taken = services * (4 * http_workers as u64 + connections as u64);
            prop_assert!(64 + taken <= files, "{connections} connections of {files} files");
        }

        #[test]
        fn a_setting_is_taken_as_it_is_or_refused(
            http_workers in 1..=1024_u64,
            hash_threads in 1..=1024_u64,
            memory_mib in 40..=65_536_u64,
            threads in 10..=4096_u64,
            files in 10..=8192_u64,
        ) {
            let limits = limits(8, Some(memory_mib), Some(threads), files);
            let (http_workers, hash_threads) = (Some(http_workers), Some(hash_threads));
            let (plan, problems) = planned(Demand { http_workers, hash_threads, ..OPEN }, &limits);
            prop_assert_eq!(Some(plan.workers.number), http_workers);
            prop_assert_eq!(Some(plan.hash_threads.number), hash_threads);
            if problems.is_empty() {
                prop_assert!(12 + plan.threads() <= threads);
                prop_assert!(plan.hash_memory_mib() < memory_mib);
            }
        }
    }
}
