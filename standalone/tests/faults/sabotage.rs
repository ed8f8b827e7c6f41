//! The driver and the checker are tried on code that is broken on purpose: a round that finds
//! nothing wrong with it could find nothing wrong with anything.
//!
//! Each test is the ordinary round on a service that makes one mistake (`sabotaged_service.rs`).
//! `mutants.rs` breaks data instead of code.

use std::time::Duration;

use crate::chaos::alone;
use crate::check::{Report, UNHURRIED_BOUND};
use crate::fault::Fault;
use crate::rig::{Rig, Side};
use crate::round::{Pace, run_at};
use crate::sabotaged_service::Mistake;

/// The services may never agree.
const PATIENCE: Duration = Duration::from_secs(8);
/// A crash does not hit a creation each time.
const ATTEMPTS: u64 = 12;

/// Rounds until the checker is not content.
///
/// # Panics
/// It always is.
async fn caught(mistake: Mistake, fault: Fault, attempts: u64) -> Report {
    let _alone = alone();
    let mut rig = Rig::sabotaged(mistake);
    for attempt in 1..=attempts {
        let pace = Pace { patience: PATIENCE, ..Pace::default() };
        let outcome = run_at(pace, &mut rig, fault, format!("x{attempt}"), attempt).await;
        println!("{mistake:?}: {outcome}");
        if !outcome.report.is_clean(UNHURRIED_BOUND) {
            return outcome.report;
        }
    }
    panic!("the checker is content with {mistake:?}");
}

fn mention(list: &[String], what: &str) -> bool {
    list.iter().any(|complaint| complaint.contains(what))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_are_answered_without_a_commit_are_reported_as_lost() {
    let report = caught(Mistake::LoseCommits, Fault::Nothing, 1).await;
    // Or it is another user: identifiers of creations that were undone are given again.
    assert!(mention(&report.lost, "in user_service is "), "{:?}", report.complaints());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_the_projection_goes_past_without_applying_them_are_reported_as_lost() {
    // Of records and of the snapshots that are to mend it.
    let report = caught(Mistake::LoseUsers, Fault::Nothing, 1).await;
    assert!(mention(&report.lost, "in auth_service is None"), "{:?}", report.complaints());
    assert!(!mention(&report.lost, "in user_service"), "{:?}", report.complaints());
    assert!(!report.disagreements.is_empty(), "{:?}", report.complaints());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_are_made_twice_are_reported_as_doubled() {
    let report = caught(Mistake::DoubleChanges, Fault::Nothing, 1).await;
    assert!(mention(&report.doubled, "in user_service"), "{:?}", report.complaints());
    assert_eq!(report.disagreements.len(), 0, "both have them twice: {:?}", report.complaints());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_that_a_crash_makes_forgotten_is_reported() {
    let report = caught(Mistake::ForgetKeys, Fault::Crash(Side::User, "committed"), ATTEMPTS).await;
    assert!(mention(&report.lost, "was refused with 409"), "{:?}", report.complaints());
    assert!(!report.invented.is_empty(), "the user whom nobody owns: {:?}", report.complaints());
}
