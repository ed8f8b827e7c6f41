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
            return;
        }
        // It has answered, so it is reached, however many refusals are remembered already.
        self.connection = None;
        if self.refusals.len() < REFUSALS_MAX || self.refusals.contains_key(what) {
            self.refusals.insert(what.to_owned(), error.clone());
        }
    }
}

/// The name of a queue's operation. Transient queues have a new name each time, so they share one.
pub(super) fn name_of(queue: &QueueSpec) -> &str {
    if queue.lifetime == QueueLifetime::Transient { "a transient queue" } else { &queue.name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Refusal;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Outcome {
        Worked,
        Refused,
        Unreachable,
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![Just(Outcome::Worked), Just(Outcome::Refused), Just(Outcome::Unreachable)]
    }

    proptest! {
        /// More operations than refusals are remembered of.
        #[test]
        fn the_last_attempt_tells_whether_the_broker_is_reached(
            attempts in vec((0..3 * REFUSALS_MAX, outcome()), 1..200),
        ) {
            let health = Health::default();
            for (operation, outcome) in &attempts {
                let result = match outcome {
                    Outcome::Worked => Ok(()),
                    Outcome::Refused => Err(BusError::Refused(Refusal::from("no".to_owned()))),
                    Outcome::Unreachable => Err(BusError::Unreachable("gone".into())),
                };
                health.note(&operation.to_string(), &result);
            }
            let refused = |cause: &str| health.status() == BusStatus::Down { cause: cause.into() };
            let is_unreachable = refused("broker unreachable");
            let (operation, last) = attempts.last().unwrap();
            prop_assert_eq!(is_unreachable, matches!(last, Outcome::Unreachable));
            if matches!(last, Outcome::Refused) {
                prop_assert!(refused("broker refused"), "{}", operation);
            }
        }
    }
}
