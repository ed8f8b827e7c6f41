//! One fault under load, and the check after it.

use std::fmt;
use std::time::{Duration, Instant};

use crate::check::{AGREEMENT_BOUND, PATIENCE, Report, check, read};
use crate::driver::Load;
use crate::fault::Fault;
use crate::history::{History, Users};
use crate::random::Random;
use crate::rig::{Rig, Side};

/// The load before and after a fault.
const BEFORE_MS: u64 = 400;
const AFTER_MS: u64 = 200;

/// The load that a fault happens to.
pub(crate) struct Round {
    pub(crate) random: Random,
    load: Option<Load>,
    /// Tells the loads of this system apart.
    name: String,
    loads: u32,
    /// Of loads that were stopped, as far as it still counts.
    history: Option<History>,
}

impl Round {
    fn start(rig: &Rig, name: String, seed: u64) -> Self {
        let mut round = Self { random: Random(seed), load: None, name, loads: 0, history: None };
        round.start_load_anew(rig);
        round
    }

    /// The load goes on for so many milliseconds: the fault lasts, or has not begun.
    pub(crate) async fn go_on(&mut self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    /// Forgets what was, and starts a load on what user_service's database holds now.
    pub(crate) fn start_load_anew(&mut self, rig: &Rig) {
        let there = users_of(rig);
        self.loads += 1;
        let prefix = format!("{}l{}", self.name, self.loads);
        let at = rig.address(Side::User);
        let auth = rig.has_sessions.then(|| rig.address(Side::Auth));
        let seed = self.random.next();
        self.load = Some(Load::start_with_sessions(&[at], auth, &there, seed, prefix));
    }

    /// Ends the load.
    pub(crate) fn stop_load(&mut self) {
        self.history = self.load.take().map(Load::stop);
    }
}

fn users_of(rig: &Rig) -> Users {
    read(&rig.database(Side::User), &rig.database(Side::Auth)).unwrap().users
}

/// A fault and what became of it.
pub(crate) struct Outcome {
    pub(crate) fault: Fault,
    pub(crate) report: Report,
    /// If something is wrong.
    pub(crate) log: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<28} {}", format!("{:?}", self.fault), self.report)
    }
}

/// Lets the fault happen under load, and checks. `name` must be new for this system.
pub(crate) async fn run(rig: &mut Rig, fault: Fault, name: String, seed: u64) -> Outcome {
    run_at(Pace::default(), rig, fault, name, seed).await
}

/// The times of a round.
pub(crate) struct Pace {
    /// The fault begins after a load of that long, and up to 300 ms.
    pub(crate) before_ms: u64,
    /// How long the services may take until they agree; some never do.
    pub(crate) patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { before_ms: BEFORE_MS, patience: PATIENCE }
    }
}

/// The same with times of its own.
pub(crate) async fn run_at(
    pace: Pace,
    rig: &mut Rig,
    fault: Fault,
    name: String,
    seed: u64,
) -> Outcome {
    let mut round = Round::start(rig, name, seed);
    let before = pace.before_ms + round.random.below(300) as u64;
    round.go_on(before).await;
    fault.happen(rig, &mut round).await;
    let ended = Instant::now();
    round.go_on(AFTER_MS).await;
    round.stop_load();
    let history = round.history.take().unwrap();
    let (users, projection) = (rig.database(Side::User), rig.database(Side::Auth));
    let (report, _) = check(&users, &projection, &history, ended, pace.patience).await;
    let log = if report.is_clean(AGREEMENT_BOUND) {
        rig.log();
        String::new()
    } else {
        rig.log()
    };
    Outcome { fault, report, log }
}
