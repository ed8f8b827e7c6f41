//! One fault under the load of all clients, and the check after it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::task::LocalSet;

use super::clients::Clients;
use super::fault::ReplicaFault;
use super::fleet::Fleet;
use super::http::Http;
use super::journal::{Findings, Sessions};
use super::sites::REPLICAS;
use super::sweep::sweep;
use crate::check::{PATIENCE, Report, check, read};
use crate::driver::Load;
use crate::history::{History, Outcome as UserOutcome, Users};
use crate::random::Random;

/// The load before and after a fault.
const BEFORE_MS: u64 = 500;
const AFTER_MS: u64 = 300;

/// A fault and what became of it.
pub(crate) struct Outcome {
    pub(crate) fault: ReplicaFault,
    /// Of the users, by replica.
    pub(crate) reports: Vec<Report>,
    /// Of the sessions.
    pub(crate) findings: Findings,
    /// From the fault's end until every replica said that it lacks nothing.
    pub(crate) time_to_level: Duration,
    /// If something is wrong.
    pub(crate) log: String,
}

impl Outcome {
    /// Everything that is wrong, when the services may take so long to agree.
    pub(crate) fn complaints(&self, bound: Duration) -> Vec<String> {
        let mut complaints = self.findings.complaints();
        for (replica, report) in self.reports.iter().enumerate() {
            if !report.is_clean(bound) {
                complaints.push(format!("replica {replica}: {report}"));
                complaints.extend(report.complaints());
            }
        }
        complaints
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fault, level) = (format!("{:?}", self.fault), self.time_to_level.as_secs_f64());
        let lost: usize = self.reports.iter().map(|report| report.lost.len()).sum();
        let doubled: usize = self.reports.iter().map(|report| report.doubled.len()).sum();
        let writes = self.reports.first().map_or(0, |report| report.acknowledged);
        write!(
            f,
            "{fault:<22} {writes} writes, {lost} lost, {doubled} doubled, {}, level after {level:.2} s",
            self.findings
        )
    }
}

/// Lets the fault happen under load, and checks. `name` must be new for this fleet.
pub(crate) async fn run(
    fleet: &mut Fleet,
    users: &mut Vec<Sessions>,
    fault: ReplicaFault,
    name: &str,
    seed: u64,
) -> Outcome {
    let mut random = Random(seed);
    let (_, theirs) = split(users_of(fleet), users);
    let writes = Load::start(&[fleet.sites.users], &theirs, random.next(), format!("{name}w"));
    let clients = Clients::start(Arc::clone(&fleet.sites), std::mem::take(users), random.next());
    go_on(BEFORE_MS + random.below(300) as u64).await;
    fault.happen(fleet, &mut random).await;
    let ended = Instant::now();
    go_on(AFTER_MS).await;
    let mut history = writes.stop();
    let (sessions, mut findings) = clients.stop();
    *users = sessions;
    // Theirs change, too, when they log out everywhere.
    let (ours, _) = split(users_of(fleet), users);
    history
        .outcomes
        .extend(ours.into_iter().map(|(id, user)| (id, UserOutcome::certain(Some(user)))));
    let http = Http::new();
    // Its requests need a thread of their own kind.
    let asking = LocalSet::new();
    let sweeping = asking.run_until(async {
        fleet.until_level(&http).await;
        (ended.elapsed(), sweep(&fleet.sites, &http, users).await)
    });
    let (reports, (time_to_level, found)) =
        tokio::join!(compare_users(fleet, &history, ended), sweeping);
    findings.join(found);
    let mut outcome = Outcome { fault, reports, findings, time_to_level, log: String::new() };
    let log = fleet.log();
    if !outcome.complaints(PATIENCE).is_empty() {
        outcome.log = log;
    }
    outcome
}

async fn compare_users(fleet: &Fleet, history: &History, ended: Instant) -> Vec<Report> {
    let users = fleet.users_database();
    let compare = async |replica| {
        let projection = fleet.projection(replica);
        check(&users, &projection, history, ended, PATIENCE).await.0
    };
    join_all((0..REPLICAS).map(compare)).await
}

fn users_of(fleet: &Fleet) -> Users {
    read(&fleet.users_database(), &fleet.projection(0)).unwrap().users
}

/// Those who have sessions, whom nobody changes, and the others.
fn split(all: Users, users: &[Sessions]) -> (Users, Users) {
    let names: Vec<&str> = users.iter().map(|sessions| sessions.username.as_str()).collect();
    all.into_iter().partition(|(_, user)| names.contains(&user.username.as_str()))
}

/// The load goes on for so long.
async fn go_on(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
