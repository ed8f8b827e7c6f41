//! One fault under load, and the check after it.

use std::fmt;
use std::time::{Duration, Instant};

use super::fault::ScaledFault;
use super::fleet::Fleet;
use crate::check::{PATIENCE, Report, check};
use crate::driver::Load;
use crate::history::{History, Users};
use crate::random::Random;

/// The load before and after a fault.
const BEFORE: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_millis(300);

/// The load that a fault happens to.
pub(crate) struct Round {
    load: Option<Load>,
    /// Of the load, when it was stopped.
    history: Option<History>,
    /// Tells the loads of this system apart.
    name: String,
}

impl Round {
    /// Ends the load; what comes later is not counted.
    pub(crate) fn stop_load(&mut self) {
        if let Some(load) = self.load.take() {
            self.history = Some(load.stop());
        }
    }

    /// Makes users that nobody may have later.
    pub(crate) async fn write_for_nothing(&self, fleet: &Fleet, time: Duration) {
        let prefix = format!("{}x", self.name);
        let load = Load::start(&fleet.addresses, &Users::new(), 1, prefix);
        tokio::time::sleep(time).await;
        let lost = load.stop();
        assert!(lost.acknowledged > 0, "the writes that are to be lost were not made");
    }
}

/// A fault and what became of it.
pub(crate) struct Outcome {
    fault: ScaledFault,
    /// By auth_service.
    reports: Vec<Report>,
    /// If something is wrong.
    pub(crate) log: String,
}

impl Outcome {
    /// Everything that is wrong, when the services may take so long to agree.
    pub(crate) fn complaints(&self, bound: Duration) -> Vec<String> {
        let mut complaints = Vec::new();
        for (replica, report) in self.reports.iter().enumerate() {
            if !report.is_clean(bound) {
                complaints.push(format!("replica {replica}: {report}"));
                complaints.extend(report.complaints());
            }
        }
        complaints
    }

    /// Until the last of them agreed.
    pub(crate) fn time_to_agreement(&self) -> Duration {
        self.reports.iter().map(|report| report.time_to_agreement).max().unwrap_or_default()
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.reports.first().map_or(0, |report| report.acknowledged)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fault, agreed) = (format!("{:?}", self.fault), self.time_to_agreement());
        let first = self.reports.first().map(ToString::to_string).unwrap_or_default();
        write!(f, "{fault:<20} {first}; all agreed after {:.2} s", agreed.as_secs_f64())
    }
}

/// Lets the fault happen under load, and checks. `name` must be new for this fleet.
pub(crate) async fn run(fleet: &mut Fleet, fault: ScaledFault, name: &str, seed: u64) -> Outcome {
    let mut random = Random(seed);
    let load =
        Load::start(&fleet.addresses, &fleet.stored_users(), random.next(), format!("{name}w"));
    let mut round = Round { load: Some(load), history: None, name: name.to_owned() };
    tokio::time::sleep(BEFORE).await;
    fault.happen(fleet, &mut round).await;
    let ended = Instant::now();
    tokio::time::sleep(AFTER).await;
    round.stop_load();
    let history = round.history.unwrap();
    let mut reports = Vec::new();
    for projection in fleet.projections() {
        reports.push(check(&fleet.database, &projection, &history, ended, PATIENCE).await.0);
    }
    let log = fleet.log();
    let mut outcome = Outcome { fault, reports, log: String::new() };
    if !outcome.complaints(PATIENCE).is_empty() {
        outcome.log = log;
    }
    outcome
}
