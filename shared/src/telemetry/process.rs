//! What the process takes of the machine, under the names that all Prometheus clients use. Both
//! services of `standalone` show the same process.

use std::fmt::{self, Write};
use std::fs;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::{Registry, Unit};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::computed::{encode_gauge, encode_seconds};

/// Clock ticks a second in `/proc/PID/stat`: `USER_HZ` of Linux, on all architectures that Rust
/// builds for.
const TICKS_PER_S: u64 = 100;
/// Which field `starttime` is, counted after the name of the program (proc_pid_stat(5): the 22nd of
/// all, and the name is the 2nd).
const START_FIELD: usize = 22 - 3;

/// Adds what the process takes to a scrape.
///
/// # Errors
/// The scrape cannot be written.
pub(crate) fn encode_process(scrape: &mut impl Write) -> fmt::Result {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    encode_registry(scrape, &registry)
}

/// Reads `/proc` at each scrape. What cannot be read there is left out.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Time of processors that the process has used";
        let (cpu, unit) = (ConstCounter::new(cpu_time().as_secs_f64()), Some(&Unit::Seconds));
        cpu.encode(encoder.encode_descriptor("process_cpu", help, unit, cpu.metric_type())?)?;
        if let Some(started_at) = started_at() {
            let help = "When the process started, since 1970";
            encode_seconds(&mut encoder, "process_start_time", help, started_at)?;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name| status_value(&status, name).map(|kib| kib.saturating_mul(1024));
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Memory in use", kib("VmRSS:")),
            ("process_virtual_memory_bytes", "Address space in use", kib("VmSize:")),
            ("process_threads", "Threads", status_value(&status, "Threads:")),
            ("process_open_fds", "Open files and connections", open_files()),
            ("process_max_fds", "How many files and connections may be open", open_files_max()),
        ] {
            if let Some(value) = value {
                encode_gauge(&mut encoder, name, help, value)?;
            }
        }
        Ok(())
    }
}

fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

fn status_value(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<i64> {
    // One of them is the directory itself, which is open for this.
    let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    i64::try_from(open).ok()
}

fn open_files_max() -> Option<i64> {
    getrlimit(Resource::Nofile).current.and_then(|limit| i64::try_from(limit).ok())
}

/// When the machine started, and how much later this process did.
fn started_at() -> Option<Duration> {
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted_s = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name is in parentheses, and may contain some.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: u64 = fields.split(' ').nth(START_FIELD)?.parse().ok()?;
    let after_boot = Duration::from_millis(ticks.saturating_mul(1000) / TICKS_PER_S);
    Some(Duration::from_secs(booted_s.trim().parse().ok()?) + after_boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(scrape: &str, name: &str) -> f64 {
        let line = scrape.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} is not in {scrape}")).parse().unwrap()
    }

    #[test]
    fn a_process_tells_what_it_takes() {
        let scrape = || {
            let mut text = String::new();
            encode_process(&mut text).unwrap();
            text
        };
        let before = scrape();
        let files: Vec<_> = (0..3).map(|_| tempfile::tempfile().unwrap()).collect();
        let after = scrape();
        assert!(value(&after, "process_open_fds") >= 3.0);
        assert!(value(&after, "process_open_fds") <= value(&after, "process_max_fds"));
        let spent = value(&before, "process_cpu_seconds_total");
        assert!(spent <= value(&after, "process_cpu_seconds_total"));
        let resident = value(&after, "process_resident_memory_bytes");
        assert!(resident > 1e6 && resident < value(&after, "process_virtual_memory_bytes"));
        assert!(value(&after, "process_threads") >= 1.0);
        let now_s = crate::clock::Clock::system().unix_s();
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        let age_s = now_s as f64 - value(&after, "process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age_s), "{age_s}");
        drop(files);
    }
}
