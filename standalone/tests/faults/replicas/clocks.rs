//! A replica whose wall clock jumps by an hour and by a year, and back.

use std::fs;
use std::path::Path;

use testkit::faketime;
use testkit::wait::until;

use super::fleet::Fleet;
use super::http::Http;
use super::journal::claims_of;
use super::{LEVEL_BOUND, local};
use crate::chaos::alone;

/// The replica whose clock jumps.
pub(crate) const JUMPING: usize = 0;
/// By how much the clock is wrong for a while.
const JUMPS: [&str; 4] = ["+1h", "-2h", "+366d", "-120"];

/// What a process needs to tell the time that the file says. The clock that nobody can set goes on.
pub(crate) fn settings(file: &Path) -> Vec<(&'static str, &str)> {
    vec![
        ("LD_PRELOAD", faketime::library()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ]
}

/// Another file in its place: a reader never sees half of it.
pub(crate) fn set(file: &Path, offset: &str) {
    let new = file.with_extension("new");
    fs::write(&new, format!("{offset}\n")).unwrap();
    fs::rename(new, file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_revives_nothing_and_no_token_is_dead_at_birth() {
    let _alone = alone();
    local(async {
        let (mut fleet, _) = Fleet::start().await;
        let http = Http::new();
        fleet.kill(JUMPING);
        let clock = fleet.give_a_clock_of_its_own();
        fleet.launch(JUMPING);
        fleet.until_level(&http).await;
        for jump in JUMPS {
            println!("the clock of one replica is wrong by {jump}");
            jump_and_back(&fleet, &http, &clock, jump).await;
        }
    })
    .await;
}

async fn jump_and_back(fleet: &Fleet, http: &Http, clock: &Path, jump: &str) {
    let here = fleet.sites.auth[JUMPING];
    let (living, dead) = (log_in(fleet, http).await, log_in(fleet, http).await);
    for at in fleet.sites.auth {
        until_status(http, at, &living, 200).await;
    }
    assert_eq!(http.logout(here, &dead).await, 200);
    set(clock, jump);
    assert_ne!(http.verify(here, &dead).await, 200, "while the clock is wrong");
    // A token of that time may not be good yet elsewhere: nobody says that it is dead.
    let (_, of_then) = http.log_in(here, "session0").await;
    if let Some(token) = &of_then {
        let distance = begun_at(token) - begun_at(&living);
        assert!(distance.abs() > 60, "the clock has not jumped");
        assert_ne!(http.verify(here, token).await, 401, "dead at birth");
    }
    set(clock, "+0");
    let after = log_in(fleet, http).await;
    for at in fleet.sites.auth {
        assert_ne!(http.verify(at, &after).await, 401, "dead at birth");
        until_status(http, at, &after, 200).await;
        until_status(http, at, &living, 200).await;
        until_status(http, at, &dead, 401).await;
    }
}

/// When its session began, by the wall clock of the replica.
fn begun_at(token: &str) -> i64 {
    claims_of(token)["auth_time"].as_i64().unwrap()
}

async fn log_in(fleet: &Fleet, http: &Http) -> String {
    let at = fleet.sites.auth[JUMPING];
    until("a login", LEVEL_BOUND, async || http.log_in(at, "session0").await.1).await
}

async fn until_status(http: &Http, at: std::net::SocketAddr, token: &str, status: u16) {
    let what = format!("{at} answers {status}");
    until(&what, LEVEL_BOUND, async || (http.verify(at, token).await == status).then_some(()))
        .await;
}
