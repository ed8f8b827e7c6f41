//! Faults under load: the real binaries, a real broker, and everything that can go wrong with
//! them. After each fault every acknowledged write is in both databases, nothing is there twice,
//! nothing else is there, and the services agree within five seconds.
//!
//! `scripts/chaos.sh` runs the same for as long as one likes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::option_option,
    reason = "a panic here is a failed test and what is measured is printed"
)]

mod bus_faults;
mod chaos;
mod check;
mod degraded;
mod disk;
mod driver;
mod fault;
mod history;
mod mutants;
mod random;
mod rig;
mod round;
mod sabotage;
mod sabotaged_service;

use check::UNHURRIED_BOUND;
use fault::{BROKER, CRASHES, FILES, Fault, IN_ONE_PROCESS, NETWORK, PROCESSES};
use rig::Rig;

/// Each fault once, one after the other on one system.
async fn each(rig: &mut Rig, faults: &[Fault]) {
    let mut complaints = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        let outcome = round::run(rig, *fault, format!("f{number}"), number as u64).await;
        println!("{outcome}");
        if !outcome.report.is_clean(UNHURRIED_BOUND) {
            println!("{}", outcome.log);
            complaints.push(format!("{outcome}\n  {}", outcome.report.complaints().join("\n  ")));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_services_are_killed() {
    let _alone = chaos::alone();
    each(&mut Rig::over_rabbitmq().await, &PROCESSES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_a_process_ends_at_any_step_from_commit_to_acknowledgement() {
    let _alone = chaos::alone();
    each(&mut Rig::over_rabbitmq().await, &CRASHES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_the_broker_does() {
    let _alone = chaos::alone();
    each(&mut Rig::over_rabbitmq().await, &BROKER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_the_network_does() {
    let _alone = chaos::alone();
    each(&mut Rig::over_rabbitmq().await, &NETWORK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_files_are_lost_or_restored_or_the_disk_is_full() {
    let _alone = chaos::alone();
    each(&mut Rig::over_rabbitmq().await, &FILES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_one_process() {
    let _alone = chaos::alone();
    each(&mut Rig::in_one_process(), &IN_ONE_PROCESS).await;
}

#[actix_web::test]
async fn without_the_broker_every_call_answers_as_usual_and_the_backlog_drains_in_order() {
    let _alone = chaos::alone();
    // Its proxies want threads of their own.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let mut rig = {
        let _entered = runtime.enter();
        Rig::over_rabbitmq_with(degraded::REPLAY_LIMIT).await
    };
    degraded::without_the_broker(&mut rig).await;
    degraded::the_backlog_drains(&mut rig).await;
    drop(rig);
    runtime.shutdown_background();
}
