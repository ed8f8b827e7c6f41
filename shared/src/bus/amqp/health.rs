//! What the bus knows of its broker, for `/readyz` and the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::bus::{BusError, BusStatus, QueueLifetime, QueueSpec};

/// A cause that was logged is not logged again for this long: causes may take turns.
const LOG_INTERVAL: Duration = Duration::from_mins(1);
/// How many causes are remembered as logged.
const CAUSES_MAX: usize = 16;

/// Remembers what failed, and logs each cause once.
#[derive(Default)]
pub(super) struct Health {
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    /// Something has worked.
    has_worked: bool,
    /// Why the broker cannot be reached. Whatever works ends it.
    connection: Option<BusError>,
    /// What the broker refused, by what was asked of it. Only the same thing ends it when it works.
    refusals: BTreeMap<String, BusError>,
    /// When each cause was logged.
    logged: BTreeMap<String, Instant>,
    /// The log says that the broker cannot be used.
    is_down_in_log: bool,
}

impl Health {
    /// Notes the outcome of an attempt; `what` tells attempts apart that the broker may refuse.
    pub(super) fn note<T>(&self, what: &str, outcome: &Result<T, BusError>) {
        self.state.send_modify(|state| match outcome {
            Ok(_) => state.worked(what),
            Err(error) => state.failed(what, error),
        });
    }

    pub(super) fn status(&self) -> BusStatus {
        let state = self.state.borrow();
        match state.connection.as_ref().or_else(|| state.refusals.values().next()) {
            Some(error) => BusStatus::Down { cause: error.cause() },
            None if state.has_worked => BusStatus::Connected,
            None => BusStatus::Down { cause: "broker not asked yet".to_owned() },
        }
    }
}

impl State {
    fn worked(&mut self, what: &str) {
        (self.has_worked, self.connection) = (true, None);
        self.refusals.remove(what);
        self.log_recovery();
    }

    fn failed(&mut self, what: &str, error: &BusError) {
        if !matches!(error, BusError::Refused(_)) {
            self.connection = Some(error.clone());
        } else if self.refusals.len() < CAUSES_MAX {
            self.connection = None;
            self.refusals.insert(what.to_owned(), error.clone());
        }
        self.log_failure(what, error);
    }

    fn log_failure(&mut self, what: &str, error: &BusError) {
        let cause = error.cause();
        let now = Instant::now();
        self.logged.retain(|_, at| now.duration_since(*at) < LOG_INTERVAL);
        if self.logged.contains_key(&cause) || self.logged.len() >= CAUSES_MAX {
            return;
        }
        let detail = error.detail();
        tracing::warn!(cause, detail, what, "the broker cannot be used; trying again");
        self.logged.insert(cause, now);
        self.is_down_in_log = true;
    }

    fn log_recovery(&mut self) {
        if self.is_down_in_log && self.refusals.is_empty() {
            self.is_down_in_log = false;
            tracing::info!("the broker can be used again");
        }
    }
}

/// What a queue is called among the things that may be refused. Transient queues have a new name
/// each time.
pub(super) fn name_of(queue: &QueueSpec) -> &str {
    if queue.lifetime == QueueLifetime::Transient { "a transient queue" } else { &queue.name }
}
