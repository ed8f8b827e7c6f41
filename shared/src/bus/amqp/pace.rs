//! How often connecting is attempted.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::actors::{GrowingPause, HEALTHY};
use crate::bus::BusError;

/// The longest pause while a broker cannot be reached: one that comes back is soon used again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause while a broker refuses the login: only a change of the configuration helps.
const LONGEST_PAUSE_REFUSED: Duration = Duration::from_secs(30);

/// Spaces out attempts by a pause that grows while they fail, or while the connections break soon
/// after they are opened.
#[derive(Default)]
pub(super) struct Pace {
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    /// Grows until a connection lives for [`HEALTHY`].
    pause: GrowingPause,
    /// When the last connection was opened.
    opened_at: Option<Instant>,
    /// The last error, and when the pause after it ends.
    pausing: Option<(BusError, Instant)>,
}

impl Pace {
    /// Whether connecting may be attempted now.
    ///
    /// # Errors
    /// Not yet: the error of the last attempt.
    pub(super) fn check(&self) -> Result<(), BusError> {
        self.state.send_modify(State::look_back);
        match &self.state.borrow().pausing {
            Some((error, until)) if Instant::now() < *until => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Notes the outcome of an attempt.
    pub(super) fn note(&self, error: Option<&BusError>) {
        self.state.send_modify(|state| {
            if let Some(error) = error {
                state.pause(error);
            } else {
                (state.opened_at, state.pausing) = (Some(Instant::now()), None);
            }
        });
    }
}

impl State {
    /// A new connection is needed, so the last one has broken.
    fn look_back(&mut self) {
        match self.opened_at.take() {
            Some(opened_at) if opened_at.elapsed() >= HEALTHY => self.pause.reset(),
            Some(_) => self.pause(&BusError::Unreachable(
                "the connection broke soon after it was opened".into(),
            )),
            None => {}
        }
    }

    fn pause(&mut self, error: &BusError) {
        let longest = match error {
            BusError::LoginRefused | BusError::VirtualHostRefused(_) => LONGEST_PAUSE_REFUSED,
            _ => LONGEST_PAUSE,
        };
        self.pausing = Some((error.clone(), Instant::now() + self.pause.take(longest)));
    }
}
