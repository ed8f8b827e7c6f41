//! Three replicas of auth_service beside user_service, over one RabbitMQ: sessions begin, go on and
//! end at replicas at random while faults happen, and users change meanwhile.
//!
//! **Revived** is a token that was logged out with 200, and that a replica accepts which says, before
//! and after, that it lacks nothing (docs/security.md says what holds for one that is cut off).

pub(crate) mod clients;
mod clocks;
pub(crate) mod deaf;
pub(crate) mod fault;
pub(crate) mod fleet;
pub(crate) mod http;
pub(crate) mod journal;
mod keys;
pub(crate) mod recorder;
pub(crate) mod round;
pub(crate) mod sites;
pub(crate) mod sweep;
mod verifiers;

use std::time::{Duration, Instant};

use fault::ReplicaFault;
use fleet::Fleet;
use journal::Findings;

use crate::chaos::{alone, setting};
use crate::check::{AGREEMENT_BOUND, UNHURRIED_BOUND};
use crate::random::Random;

/// Each of them has a user.
pub(crate) const CLIENTS: usize = 4;
pub(crate) const PASSWORD: &str = "testpassword";
/// Within this time of a fault's end every replica lacks nothing.
pub(crate) const LEVEL_BOUND: Duration = Duration::from_mins(1);
/// As many rounds as `CHAOS_ROUNDS` says: each fault once, and then at random in the order of `CHAOS_SEED`.
/// In the default run, those faults that nothing else tries on replicas.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos() {
    let _alone = alone();
    let (rounds, seed) = (setting("CHAOS_ROUNDS", 0), setting("CHAOS_SEED", 1));
    let mut random = Random(seed);
    // Only a run that was asked for is held to the time.
    let (faults, bound) = if rounds == 0 {
        (fault::BY_DEFAULT.to_vec(), UNHURRIED_BOUND)
    } else {
        let once = fault::each_once().into_iter();
        let at_random = std::iter::from_fn(|| Some(ReplicaFault::pick(&mut random)));
        let rounds = usize::try_from(rounds).unwrap();
        (once.chain(at_random).take(rounds).collect(), AGREEMENT_BOUND)
    };
    run_rounds(faults, &mut random, bound, seed).await;
}

async fn run_rounds(faults: Vec<ReplicaFault>, random: &mut Random, bound: Duration, seed: u64) {
    let (mut fleet, mut users) = local(Fleet::start()).await;
    let mut summary = Summary::default();
    let begun = Instant::now();
    for (number, fault) in (1..).zip(faults) {
        fleet.is_direct = random.below(2) == 0;
        let name = format!("s{number}");
        let outcome = round::run(&mut fleet, &mut users, fault, &name, random.next()).await;
        let complaints = outcome.complaints(bound);
        println!("round {number:>4} {outcome}");
        if !complaints.is_empty() {
            println!("  {}\n{}", complaints.join("\n  "), outcome.log);
        }
        summary.add(&outcome, complaints.is_empty());
    }
    summary.print(seed, begun.elapsed());
    assert_eq!(summary.failed, 0, "see above");
}

/// Requests of `awc` need a thread that runs tasks of its own.
pub(crate) async fn local<T>(asking: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(asking).await
}

/// What all rounds came to.
#[derive(Default)]
struct Summary {
    findings: Findings,
    acknowledged: u64,
    lost: usize,
    doubled: usize,
    invented: usize,
    worst_agreement: Duration,
    worst_level: Duration,
    passed: u64,
    failed: u64,
}

impl Summary {
    fn add(&mut self, outcome: &round::Outcome, is_clean: bool) {
        self.findings.join(outcome.findings.clone());
        self.acknowledged += outcome.reports.first().map_or(0, |report| report.acknowledged);
        for report in &outcome.reports {
            self.lost += report.lost.len();
            self.doubled += report.doubled.len();
            self.invented += report.invented.len();
            self.worst_agreement = self.worst_agreement.max(report.time_to_agreement);
        }
        self.worst_level = self.worst_level.max(outcome.time_to_level);
        *if is_clean { &mut self.passed } else { &mut self.failed } += 1;
    }

    fn print(&self, seed: u64, elapsed: Duration) {
        let findings = &self.findings;
        let rounds = self.passed + self.failed;
        println!("\nseed {seed}, {rounds} faults in {} s", elapsed.as_secs());
        println!("acknowledged writes   {}", self.acknowledged);
        println!("logins                {}", findings.logins);
        println!("refreshes             {}", findings.refreshes);
        println!("logouts               {}", findings.logouts);
        println!("lost                  {}", self.lost);
        println!("doubled               {}", self.doubled);
        println!("invented              {}", self.invented);
        println!("revived               {}", findings.revived.len());
        println!("refused               {}", findings.refused.len());
        println!("dead at birth         {}", findings.dead_at_birth.len());
        println!("unknown               {}", findings.unknown.len());
        println!("longest acceptance    {} ms", findings.longest_acceptance.as_millis());
        println!("worst agreement       {:.2} s", self.worst_agreement.as_secs_f64());
        println!("worst level           {:.2} s", self.worst_level.as_secs_f64());
        println!("{} passed, {} failed", self.passed, self.failed);
    }
}

/// The clients and the check are tried on a replica that is broken on purpose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_drops_what_the_others_tell_it_is_reported_as_reviving_tokens() {
    let _alone = alone();
    let (mut fleet, mut users) = local(Fleet::start_with_a_deaf_one()).await;
    let outcome = round::run(&mut fleet, &mut users, ReplicaFault::Nothing, "d", 1).await;
    println!("{outcome}");
    assert!(!outcome.findings.revived.is_empty(), "{:?}", outcome.findings.complaints());
    let are_of_the_deaf_one = outcome.findings.revived.iter().all(|what| what.contains(" at 2, "));
    assert!(are_of_the_deaf_one, "{:?}", outcome.findings.complaints());
}
