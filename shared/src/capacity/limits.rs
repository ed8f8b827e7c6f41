//! What the machine, the control group and the user's limits leave to this process.

use std::fmt;
use std::fs;
use std::thread;

use rustix::process::{Resource, getrlimit, getuid};

use super::control_group::ControlGroup;
use super::open_files;

/// A limit, and who has set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) amount: u64,
    pub(super) of: LimitOf,
}

/// Who has set a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitOf {
    ControlGroupMemory,
    MachineMemory,
    ControlGroupProcesses,
    UserProcesses,
    OpenFiles,
}

impl fmt::Display for LimitOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlGroupMemory => "the memory limit of the control group",
            Self::MachineMemory => "the memory of this machine",
            Self::ControlGroupProcesses => "the process limit of the control group",
            Self::UserProcesses => "the process limit of this user (ulimit -u)",
            Self::OpenFiles => "the hard limit of open files (ulimit -Hn)",
        })
    }
}

/// All limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) cores: u64,
    /// In bytes.
    pub(super) memory: Option<Limit>,
    /// Threads, which count as processes.
    pub(super) threads: Option<Limit>,
    pub(super) files: Limit,
}

impl Limits {
    pub(super) fn read() -> Self {
        let group = ControlGroup::read();
        let limit = |amount: Option<u64>, of| amount.map(|amount| Limit { amount, of });
        let least = |limits: [Option<Limit>; 2]| {
            limits.into_iter().flatten().min_by_key(|limit| limit.amount)
        };
        Self {
            cores: thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            memory: least([
                limit(group.memory, LimitOf::ControlGroupMemory),
                limit(machine_memory(), LimitOf::MachineMemory),
            ]),
            threads: least([
                limit(group.threads, LimitOf::ControlGroupProcesses),
                limit(user_processes(), LimitOf::UserProcesses),
            ]),
            files: Limit { amount: open_files::limit(), of: LimitOf::OpenFiles },
        }
    }
}

/// The superuser is not bound by its limit.
fn user_processes() -> Option<u64> {
    (!getuid().is_root()).then(|| getrlimit(Resource::Nproc).current).flatten()
}

fn machine_memory() -> Option<u64> {
    memory_in(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn memory_in(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read() {
        let of_linux = "MemTotal:       24615984 kB\nMemFree:        22914196 kB\n";
        assert_eq!(memory_in(of_linux), Some(24_615_984 * 1024));
        for nonsense in ["", "MemTotal:", "MemTotal: many kB", "MemTotal: 1 MB", "MemFree: 1 kB"] {
            assert_eq!(memory_in(nonsense), None, "{nonsense}");
        }
        assert!(machine_memory().is_some_and(|bytes| bytes > 1 << 26));
    }
}
