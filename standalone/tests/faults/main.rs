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
mod direct;
mod disk;
mod driver;
mod fault;
mod full_disk;
mod history;
mod mutants;
mod random;
mod replicas;
mod rig;
mod rolling;
mod round;
mod sabotage;
mod sabotaged_service;
mod scaled;
mod soak;
mod users_at;

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
    let runtime = runtime_of_proxies();
    let mut rig = {
        let _entered = runtime.enter();
        Rig::over_rabbitmq_with(degraded::REPLAY_LIMIT).await
    };
    degraded::without_the_broker(&mut rig).await;
    degraded::the_backlog_drains(&mut rig).await;
    drop(rig);
    runtime.shutdown_background();
}

#[actix_web::test]
async fn without_the_broker_deletions_and_new_passwords_are_known_directly() {
    let _alone = chaos::alone();
    let runtime = runtime_of_proxies();
    let mut rig = {
        let _entered = runtime.enter();
        Rig::over_rabbitmq().await
    };
    rig.is_direct = true;
    rig.kill(rig::Side::Auth);
    rig.start(rig::Side::Auth, None);
    direct::without_the_broker(&mut rig).await;
    direct::both_ways_in_turns(&rig).await;
    drop(rig);
    runtime.shutdown_background();
}

/// The proxies of a [`Rig`] need threads of their own where a test has only one.
fn runtime_of_proxies() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[actix_web::test]
async fn while_the_disk_is_full_what_is_there_is_read_and_nothing_is_said_to_be_written() {
    let _alone = chaos::alone();
    full_disk::at_each_start_and_while_running().await;
}

#[actix_web::test]
async fn on_a_read_only_disk_what_is_there_is_read() {
    let _alone = chaos::alone();
    full_disk::read_only_at_a_start().await;
}

#[actix_web::test]
async fn a_disk_that_is_full_before_the_first_start_is_told_and_waited_for() {
    let _alone = chaos::alone();
    full_disk::from_the_very_first_start().await;
}

#[actix_web::test]
async fn while_auth_service_cannot_write_deletions_and_new_passwords_end_tokens_all_the_same() {
    let _alone = chaos::alone();
    let runtime = runtime_of_proxies();
    let mut rig = {
        let _entered = runtime.enter();
        Rig::over_rabbitmq().await
    };
    full_disk::of_auth_service_alone(&mut rig).await;
    drop(rig);
    runtime.shutdown_background();
}
