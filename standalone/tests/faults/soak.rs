//! Hours of load with faults, to see what grows: `scripts/soak.sh`. The last quarter of the time is
//! compared with the first one.
//!
//! A leak needs processes that grow old. So services are killed in the second quarter alone, and
//! processes of the last quarter are older than those of the first; the other faults, which end
//! connections, go on from beginning to end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use testkit::sample::Sample;

use crate::chaos::{alone, setting};
use crate::check::{AGREEMENT_BOUND, PATIENCE, UNHURRIED_BOUND};
use crate::degraded::{every_call, make_known};
use crate::fault::Fault::{self, BothKilled, BrokerKilled, BrokerStopped, Cut, Killed, Nothing};
use crate::replicas::local;
use crate::rig::Rig;
use crate::rig::Side::{Auth, User};
use crate::round::{Pace, run_at};

/// In every quarter but the second.
const WITHOUT_KILLS: [Fault; 5] = [BrokerStopped, Cut(Auth), Nothing, BrokerKilled, Cut(User)];
/// In the second quarter.
const KILLS: [Fault; 4] = [Killed(User), BrokerStopped, Killed(Auth), BothKilled];
/// The load before each fault: longer than the fault and its check, so that most of the time is load.
const PACE: Pace = Pace { before_ms: 5_000, patience: PATIENCE };
/// The log is pruned in a run, as it is in a year with the default. Clients that log in with a
/// password that is on its way are no attack.
const SETTINGS: [(&str, &str); 4] = [
    ("LOG_RETENTION", "1m"),
    // The checker reads the log's end.
    ("LOG_RETENTION_ROWS", "1"),
    ("LOGIN_FAILURES_PER_NAME", "0"),
    ("LOGIN_FAILURES_PER_ADDRESS", "0"),
];

/// What was measured in one quarter, by name.
type Quarter = BTreeMap<String, Vec<f64>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes hours: scripts/soak.sh"]
async fn soak() {
    let _alone = alone();
    let time = Duration::from_secs(setting("SOAK_SECONDS", 180));
    let mut rig = Rig::over_rabbitmq().await;
    rig.has_sessions = true;
    for side in [User, Auth] {
        rig.disk(side).enlarge();
    }
    rig.restart_with(SETTINGS.to_vec());

    let (begun, mut quarters, mut writes) = (Instant::now(), [(); 4].map(|()| Quarter::new()), 0);
    let mut failed = 0;
    for round in 0_usize.. {
        let passed = begun.elapsed();
        if passed >= time {
            break;
        }
        let number = usize::try_from(4 * passed.as_millis() / time.as_millis()).unwrap();
        let faults = if number == 1 { &KILLS[..] } else { &WITHOUT_KILLS };
        let fault = faults[round % faults.len()];
        let outcome = run_at(PACE, &mut rig, fault, format!("s{round}"), round as u64).await;
        println!("{:>6} s {outcome}", passed.as_secs());
        if !outcome.report.is_clean(UNHURRIED_BOUND) {
            failed += 1;
            println!("  {}\n{}", outcome.report.complaints().join("\n  "), outcome.log);
        }
        writes += outcome.report.acknowledged;
        let agreement = outcome.report.time_to_agreement.as_secs_f64() * 1e3;
        note(&mut quarters[number], "agreement after a fault", agreement);
        measure(&mut rig, &mut quarters[number], round, writes).await;
    }
    let [first, .., last] = quarters;
    assert!(!first.is_empty() && !last.is_empty(), "so short that a quarter has no round");
    let passed_bounds = print(&first, &last);
    println!("{writes} acknowledged writes in {} s", begun.elapsed().as_secs());
    println!("{failed} rounds failed, {passed_bounds} bounds passed");
    assert_eq!((failed, passed_bounds), (0, 0), "see above");
}

fn note(quarter: &mut Quarter, name: impl Into<String>, value: f64) {
    quarter.entry(name.into()).or_default().push(value);
}

/// The times of every call, and what the processes use at rest afterwards.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
async fn measure(rig: &mut Rig, quarter: &mut Quarter, round: usize, writes: u64) {
    let known = format!("known{round}");
    let calls = local(async {
        make_known(rig, &known).await;
        every_call(rig, &format!("m{round}x"), &known).await
    });
    for (call, times) in calls.await {
        let times = times.into_iter().map(|time| time.as_secs_f64() * 1e3);
        quarter.entry(call.to_owned()).or_default().extend(times);
    }
    for side in [User, Auth] {
        let usage = rig.usage(side);
        note(quarter, format!("{side:?}: memory"), usage.memory_kib as f64 / 1024.0);
        note(quarter, format!("{side:?}: threads"), usage.threads as f64);
        note(quarter, format!("{side:?}: open files"), usage.open_files as f64);
        note(quarter, format!("{side:?}: disk"), rig.disk(side).used() as f64 / 1024.0);
    }
    let queues = rig.bus.as_ref().unwrap().broker.control(&["list_queues", "name"]);
    note(quarter, "queues", queues.lines().count() as f64);
    note(quarter, "writes", writes as f64);
}

/// One figure of both quarters, and the most that the last one may be.
struct Line {
    name: String,
    first: f64,
    last: f64,
    at_most: f64,
}

/// Prints all figures. How many have passed their bound.
fn print(first: &Quarter, last: &Quarter) -> usize {
    println!("\n{:<34} {:>14} {:>14} {:>14}", "figure", "first quarter", "last quarter", "at most");
    let median = |quarter: &Quarter, name: &str| Sample::new(quarter[name].clone()).median();
    let writes = median(last, "writes") - median(first, "writes");
    let names = first.keys().filter(|name| *name != "writes");
    let all = names.flat_map(|name| {
        let values = [first, last].map(|quarter| Sample::new(quarter[name].clone()));
        lines(name, &values, writes)
    });
    let mut bad = 0;
    for line in all {
        let is_bad = line.last > line.at_most;
        bad += usize::from(is_bad);
        let Line { name, first, last, at_most } = line;
        let mark = if is_bad { " !" } else { "" };
        println!("{name:<34} {first:>14.1} {last:>14.1} {at_most:>14.1}{mark}");
    }
    bad
}

/// The bounds tell growth from noise. `writes` were acknowledged from one quarter to the other.
fn lines(name: &str, values: &[Sample; 2], writes: f64) -> Vec<Line> {
    let line = |what: &str, quantile: f64, bound: &dyn Fn(f64) -> f64| {
        let [first, last] = values.each_ref().map(|sample| sample.quantile(quantile));
        Line { name: format!("{name}, {what}"), first, last, at_most: bound(first) }
    };
    match name.rsplit(": ").next().unwrap_or_default() {
        // The allocator keeps what a burst needed; 8 MiB are a leak of 80 bytes in 100,000 requests.
        "memory" => vec![line("MiB", 0.5, &|first| first * 1.25 + 8.0)],
        // A thread of tokio's that may end when it has nothing to do.
        "threads" => vec![line("median", 0.5, &|first| first + 1.0)],
        // Connections that are about to be closed.
        "open files" => vec![line("median", 0.5, &|first| first + 4.0)],
        // What has to be kept: for a day the response of a creation, for minutes a record or a logout.
        "disk" => vec![line("KiB", 0.5, &|first| first + writes)],
        "queues" => vec![line("median", 0.5, &|first| first)],
        "agreement after a fault" => {
            let goal = AGREEMENT_BOUND.as_secs_f64() * 1e3;
            vec![line("p50, ms", 0.5, &|_| goal), line("p99, ms", 0.99, &|_| goal)]
        }
        // Few requests make a p99, and what else the machine does makes it longer.
        _ => vec![
            line("p50, ms", 0.5, &|first| first * 1.5 + 2.0),
            line("p99, ms", 0.99, &|first| first * 3.0 + 10.0),
        ],
    }
}
