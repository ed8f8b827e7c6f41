//! Past one machine: two user_services on one PostgreSQL, one of them through PgBouncer, several
//! replicas of auth_service, and one or three nodes of RabbitMQ.

mod fault;
pub(crate) mod fleet;
mod questions;
mod round;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fault::ScaledFault;
use fleet::Fleet;

use crate::chaos::{alone, setting};
use crate::check::{AGREEMENT_BOUND, UNHURRIED_BOUND};
use crate::random::Random;
use crate::replicas::local;

/// As many rounds as `CHAOS_ROUNDS` says, with `CHAOS_REPLICAS` auth_services and `CHAOS_BROKERS` nodes:
/// each fault once, and then at random in the order of `CHAOS_SEED`. In the default run, those that
/// nothing else tries with all processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos() {
    let _alone = alone();
    let (rounds, seed) = (setting("CHAOS_ROUNDS", 0), setting("CHAOS_SEED", 1));
    let number = |name| usize::try_from(setting(name, 1)).unwrap();
    let (replicas, brokers) = (number("CHAOS_REPLICAS"), number("CHAOS_BROKERS"));
    let mut random = Random(seed);
    let (faults, bound) = if rounds == 0 {
        (fault::BY_DEFAULT.to_vec(), UNHURRIED_BOUND)
    } else {
        let all = fault::all(brokers);
        let again = all.clone();
        let at_random = std::iter::from_fn(|| Some(random.pick(&again)));
        let rounds = usize::try_from(rounds).unwrap();
        (all.into_iter().chain(at_random).take(rounds).collect(), AGREEMENT_BOUND)
    };
    let mut fleet = local(Fleet::start(replicas, brokers)).await;
    run_rounds(&mut fleet, &faults, bound, seed).await;
}

async fn run_rounds(fleet: &mut Fleet, faults: &[ScaledFault], bound: Duration, seed: u64) {
    let begun = Instant::now();
    let (mut worst, mut acknowledged) = (BTreeMap::<String, Duration>::new(), 0);
    let (mut passed, mut failed) = (0, 0);
    for (number, fault) in (1_u64..).zip(faults) {
        let outcome = round::run(fleet, *fault, &format!("s{number}"), seed + number).await;
        let complaints = outcome.complaints(bound);
        println!("round {number:>4} {outcome}");
        if !complaints.is_empty() {
            println!("  {}\n{}", complaints.join("\n  "), outcome.log);
        }
        let longest = worst.entry(format!("{fault:?}")).or_default();
        *longest = outcome.time_to_agreement().max(*longest);
        acknowledged += outcome.acknowledged();
        *if complaints.is_empty() { &mut passed } else { &mut failed } += 1;
    }
    println!("\n{:<24} {:>22}", "fault", "worst agreement (s)");
    for (name, time) in &worst {
        println!("{name:<24} {:>22.2}", time.as_secs_f64());
    }
    println!("\nseed {seed}, {} faults in {} s", passed + failed, begun.elapsed().as_secs());
    println!("acknowledged writes   {acknowledged}");
    println!("{passed} passed, {failed} failed");
    assert_eq!(failed, 0, "see above");
}
