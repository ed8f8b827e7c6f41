//! Faults at random: as many rounds as `CHAOS_ROUNDS` says, in the order of `CHAOS_SEED`.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant};

use crate::check::{AGREEMENT_BOUND, UNHURRIED_BOUND};
use crate::fault::{BROKER, CRASHES, FILES, IN_ONE_PROCESS, NETWORK, PROCESSES};
use crate::random::Random;
use crate::rig::Rig;
use crate::round::{Outcome, run};

/// In the default run, after each fault was tried once by itself.
const ROUNDS: u64 = 3;
/// One round in so many is on the system in one process.
const ONE_PROCESS_IN: usize = 5;

/// Faults and their checks measure time: no two tests of this binary at once.
pub(crate) fn alone() -> File {
    let path = std::env::temp_dir().join("lockstep-faults.lock");
    let lock = File::options().create(true).append(true).open(path).unwrap();
    lock.lock().unwrap();
    lock
}

#[expect(clippy::disallowed_methods, reason = "settings of a test, from scripts/chaos.sh")]
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos() {
    let _alone = alone();
    let (rounds, seed) = (setting("CHAOS_ROUNDS", 0), setting("CHAOS_SEED", 1));
    // Only a run that was asked for is held to the time.
    let (rounds, bound) =
        if rounds == 0 { (ROUNDS, UNHURRIED_BOUND) } else { (rounds, AGREEMENT_BOUND) };
    let mut random = Random(seed);
    let over_rabbitmq = [&PROCESSES[..], &CRASHES, &BROKER, &NETWORK, &FILES].concat();
    let mut in_two = Rig::over_rabbitmq().await;
    let mut in_one = Rig::in_one_process();
    let mut summary = Summary { started: Some(Instant::now()), ..Summary::default() };
    for round in 1..=rounds {
        let in_one_process = random.below(ONE_PROCESS_IN) == 0;
        let fault = random.pick(if in_one_process { &IN_ONE_PROCESS } else { &over_rabbitmq });
        // From the next start of auth_service on.
        in_two.is_direct = random.below(2) == 0;
        let rig = if in_one_process { &mut in_one } else { &mut in_two };
        let outcome = run(rig, fault, format!("s{round}"), random.next()).await;
        println!("round {round:>4} {} {outcome}", if in_one_process { "one" } else { "two" });
        let is_clean = outcome.report.is_clean(bound);
        if !is_clean {
            println!("  {}\n{}", outcome.report.complaints().join("\n  "), outcome.log);
        }
        summary.add(in_one_process, is_clean, &outcome);
    }
    summary.print(seed);
    assert_eq!(summary.failed, 0, "see above");
}

/// What all rounds came to.
#[derive(Default)]
struct Summary {
    started: Option<Instant>,
    /// By fault: how often, and the worst time to agreement.
    faults: BTreeMap<String, (u64, Duration)>,
    acknowledged: u64,
    uncertain: u64,
    lost: usize,
    doubled: usize,
    invented: usize,
    passed: u64,
    failed: u64,
}

impl Summary {
    fn add(&mut self, is_one: bool, is_clean: bool, outcome: &Outcome) {
        let report = &outcome.report;
        let place = if is_one { "one process" } else { "two processes" };
        let name = format!("{:?}, {place}", outcome.fault);
        let (count, worst) = self.faults.entry(name).or_default();
        *count += 1;
        *worst = report.time_to_agreement.max(*worst);
        self.acknowledged += report.acknowledged;
        self.uncertain += report.uncertain;
        self.lost += report.lost.len();
        self.doubled += report.doubled.len();
        self.invented += report.invented.len();
        *if is_clean { &mut self.passed } else { &mut self.failed } += 1;
    }

    fn print(&self, seed: u64) {
        let elapsed = self.started.map_or(0, |started| started.elapsed().as_secs());
        println!("\n{:<44} {:>6} {:>22}", "fault", "times", "worst agreement (s)");
        for (name, (count, worst)) in &self.faults {
            println!("{name:<44} {count:>6} {:>22.2}", worst.as_secs_f64());
        }
        let worst = self.faults.values().map(|(_, worst)| *worst).max().unwrap_or_default();
        println!("\nseed {seed}, {} faults in {elapsed} s", self.passed + self.failed);
        println!("acknowledged writes   {}", self.acknowledged);
        println!("uncertain writes      {}", self.uncertain);
        println!("lost                  {}", self.lost);
        println!("doubled               {}", self.doubled);
        println!("invented              {}", self.invented);
        println!("worst agreement       {:.2} s", worst.as_secs_f64());
        println!("{} passed, {} failed", self.passed, self.failed);
    }
}
