//! What the bus knows of its broker, for `/readyz`.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::bus::{BusError, BusStatus, QueueLifetime, QueueSpec};

/// How many refusals are remembered.
const REFUSALS_MAX: usize = 16;

/// Remembers what failed.
#[derive(Default)]
pub(super) struct Health {
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    /// Whether anything has worked yet.
    has_worked: bool,
    /// Why the broker cannot be reached. Any success clears it.
    connection: Option<BusError>,
    /// What the broker refused, by operation. Only a success of the same operation clears an entry.
    refusals: BTreeMap<String, BusError>,
}

impl Health {
    /// Notes the outcome of an attempt; `what` names the operation that the broker may refuse.
    pub(super) fn note<T>(&self, what: &str, outcome: &Result<T, BusError>) {
        self.state.send_modify(|state| match outcome {
            Ok(_) => {
                (state.has_worked, state.connection) = (true, None);
                state.refusals.remove(what);
            }
            Err(error) => state.failed(what, error),
        });
    }

    pub(super) fn status(&self) -> BusStatus {
        let state = self.state.borrow();
        match state.connection.as_ref().or_else(|| state.refusals.values().next()) {
            Some(error) => BusStatus::Down { cause: error.cause() },
            None if state.has_worked => BusStatus::Connected,
            None => BusStatus::Down { cause: "broker not reached yet".to_owned() },
        }
    }
}

impl State {
    fn failed(&mut self, what: &str, error: &BusError) {
        if !matches!(error, BusError::Refused(_)) {
            self.connection = Some(error.clone());
        } else if self.refusals.len() < REFUSALS_MAX {
            self.connection = None;
            self.refusals.insert(what.to_owned(), error.clone());
        }
    }
}

/// The name of a queue's operation. Transient queues have a new name each time, so they share one.
pub(super) fn name_of(queue: &QueueSpec) -> &str {
    if queue.lifetime == QueueLifetime::Transient { "a transient queue" } else { &queue.name }
}
