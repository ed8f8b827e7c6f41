//! How much of the machine this process takes: HTTP workers, hashing threads and connections. They
//! follow the cores, and fit into the limits of memory, threads and files. Settings that do not fit
//! are refused before anything starts.

use std::io;
use std::thread;

use crate::config::{CommonConfig, HashingArgs};

mod control_group;
mod limits;
mod open_files;
mod plan;

use limits::Limits;
pub(crate) use plan::WORKERS_MAX;
use plan::{Demand, Plan};

/// With fewer connections than this, users will be kept waiting.
const FEW_CONNECTIONS: usize = 64;

/// What this process takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Threads of each service that answer HTTP.
    pub http_workers: usize,
    /// Connections that each service may have open.
    pub connections: usize,
    /// Threads that hash passwords.
    pub hash_threads: usize,
}

/// What fits, before it is taken.
pub(crate) struct Planned {
    plan: Plan,
    limits: Limits,
}

/// Threads cannot be started, though no limit that is known forbids it.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot start {threads} threads: lower HTTP_WORKERS or HASH_THREADS, or raise the limit of \
     processes"
)]
pub struct ThreadsMissing {
    threads: usize,
    source: io::Error,
}

impl Planned {
    /// What a process with so many services takes with these settings.
    pub(crate) fn new(services: u64, common: &CommonConfig, hashing: &HashingArgs) -> Self {
        let demand = Demand {
            services,
            http_workers: common.http_workers.map(u64::from),
            hash_threads: hashing.hash_threads.map(u64::from),
            hash_memory: u64::from(hashing.argon2_memory_kib) * 1024,
        };
        let limits = Limits::read();
        Self { plan: Plan::new(&demand, &limits), limits }
    }

    /// Limits into which it does not fit: one line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.plan.problems(&self.limits)
    }

    /// Raises the limit of open files, tries whether as many threads can be started, and tells in
    /// the log what was decided by what.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub(crate) fn take(&self) -> Result<Capacity, ThreadsMissing> {
        open_files::raise();
        try_threads(usize::try_from(self.plan.threads()).unwrap_or(usize::MAX))?;
        let capacity = self.plan.capacity(&self.limits);
        let Capacity { http_workers, connections, hash_threads } = capacity;
        tracing::info!(
            http_workers,
            http_workers_by = %self.plan.workers.by,
            hash_threads,
            hash_threads_by = %self.plan.hash_threads.by,
            hash_memory_mib = self.plan.hash_memory_mib(),
            connections,
            "threads and connections"
        );
        for shortage in self.plan.shortages(&self.limits) {
            tracing::warn!("{shortage}");
        }
        if connections < FEW_CONNECTIONS {
            tracing::warn!(
                limit = self.limits.files.amount,
                connections,
                "few files may be open, so few clients are served at a time: raise the hard limit \
                 of open files (ulimit -Hn)"
            );
        }
        Ok(capacity)
    }
}

/// Starts so many threads at a time, and ends them. The HTTP server does not say when it lacks a
/// thread: it would run in part.
fn try_threads(threads: usize) -> Result<(), ThreadsMissing> {
    let (end, ended) = crossbeam_channel::bounded::<()>(0);
    thread::scope(|scope| {
        // Dropped before the scope waits for its threads.
        let _end = end;
        for _ in 0..threads {
            let ended = ended.clone();
            // It never receives anything: it waits for the other end to be dropped.
            let wait = move || ended.recv().is_ok();
            let started = thread::Builder::new().spawn_scoped(scope, wait);
            started.map_err(|source| ThreadsMissing { threads, source })?;
        }
        Ok(())
    })
}
