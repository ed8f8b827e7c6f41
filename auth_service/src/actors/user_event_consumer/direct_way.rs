//! The direct way: what is followed over HTTP while nothing comes through the broker.

use std::sync::Arc;
use std::time::Duration;

use shared::bus::direct::{DirectClient, DirectUrl, SYNC_PATH};
use shared::clock::Clock;
use shared::telemetry::Sparingly;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::users_freshness::UsersFreshness;

/// How soon user_service may be asked again: requests that want it share a question.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it is not asked after that if nobody wants it: about once a second.
const REST: Duration = Duration::from_millis(950);
/// How long a session over the bus is not given up for this way after it has failed.
const RETRY: Duration = Duration::from_secs(5);
/// How long a request waits for the answer at most.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The questions that were asked directly, numbered from 1.
#[derive(Clone, Copy, Debug, Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    /// The last one was answered, and questions through the broker are not.
    is_in_use: bool,
    /// When the last one failed, if it did.
    failed_at: Option<Instant>,
    /// For the line that this way is used: the two ways may take turns.
    telling: Sparingly,
}

/// The end of the loop that asks.
pub struct DirectWay {
    pub(super) client: DirectClient,
    wanted: Arc<Notify>,
    rounds: watch::Sender<Rounds>,
}

/// The end of the requests that want to know the present state of the users.
#[derive(Clone, Debug)]
pub(super) struct DirectRounds {
    wanted: Arc<Notify>,
    rounds: watch::Receiver<Rounds>,
}

/// The way, and what requests see of it and of all that is heard of user_service; without an address
/// the way is never in use.
pub fn direct_way(url: Option<DirectUrl>, clock: Clock) -> (Option<DirectWay>, UsersFreshness) {
    let (wanted, rounds) = (Arc::new(Notify::new()), watch::Sender::new(Rounds::default()));
    let seen = DirectRounds { wanted: Arc::clone(&wanted), rounds: rounds.subscribe() };
    let way =
        url.map(|url| DirectWay { client: DirectClient::new(url, SYNC_PATH), wanted, rounds });
    (way, UsersFreshness::new(seen, clock))
}

impl DirectWay {
    /// Waits until it is time to ask.
    pub(super) async fn due(&self) {
        sleep(PAUSE).await;
        // Being wanted sooner is as good as the time being over.
        let _ = timeout(REST, self.wanted.notified()).await;
    }

    pub(super) fn begin(&self) {
        self.rounds.send_modify(|rounds| rounds.begun += 1);
    }

    pub(super) fn end(&self, is_answered: bool) {
        self.rounds.send_modify(|rounds| {
            if is_answered && !rounds.is_in_use && rounds.telling.may_tell() {
                tracing::info!("the broker brings no answers: following user_service directly");
            }
            (rounds.ended, rounds.is_in_use) = (rounds.begun, is_answered);
            rounds.failed_at = (!is_answered).then(Instant::now);
        });
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.rounds.borrow().is_in_use
    }

    /// Whether it is worth giving up a session whose questions are not answered.
    pub(super) fn may_help(&self) -> bool {
        self.rounds.borrow().failed_at.is_none_or(|at| at.elapsed() >= RETRY)
    }

    /// Waits while user_service answers directly.
    pub(super) async fn until_unused(&self) {
        // It cannot be closed: this is the end that sends.
        let _ = self.rounds.subscribe().wait_for(|rounds| !rounds.is_in_use).await;
    }

    /// The broker is used again.
    pub(super) fn rest(&self) {
        self.rounds.send_if_modified(|rounds| std::mem::take(&mut rounds.is_in_use));
    }
}

impl DirectRounds {
    /// Whether user_service is followed directly.
    pub(super) fn is_in_use(&self) -> bool {
        self.rounds.borrow().is_in_use
    }

    /// Has user_service asked soon.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// See [`UsersFreshness::renew`].
    pub(super) async fn renew(&self) {
        let mut rounds = self.rounds.clone();
        let now = *rounds.borrow();
        if now.is_in_use {
            self.want();
            let answered = rounds.wait_for(|then| !then.is_in_use || then.ended > now.begun);
            // Without an answer, what is known here has to do.
            let _ = timeout(WAIT_MAX, answered).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn both() -> (DirectWay, UsersFreshness) {
        let url = Some("http://127.0.0.1:1".parse().unwrap());
        let (way, fresh) = direct_way(url, Clock::manual(0));
        (way.unwrap(), fresh)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_the_answer_to_a_question_that_was_asked_after_it_came() {
        let (way, fresh) = both();
        assert!(fresh.renew().now_or_never().is_some(), "the broker is used");
        way.begin();
        way.end(true);
        way.begin();
        let mut renewing = Box::pin(fresh.renew());
        assert!((&mut renewing).now_or_never().is_none());
        way.end(true);
        assert!((&mut renewing).now_or_never().is_none(), "that question came before it");
        way.due().await;
        way.begin();
        way.end(true);
        assert!(renewing.now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_way_that_fails_or_longer_than_a_second() {
        let (way, fresh) = both();
        way.begin();
        way.end(true);
        let begun = Instant::now();
        fresh.renew().await;
        assert_eq!(begun.elapsed(), WAIT_MAX);
        way.begin();
        way.end(false);
        assert!(fresh.renew().now_or_never().is_some());
        way.end(true);
        way.rest();
        assert!(!fresh.is_direct() && fresh.renew().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn user_service_is_asked_once_a_second_and_sooner_if_somebody_wants_it() {
        let (way, fresh) = both();
        let begun = Instant::now();
        way.due().await;
        assert_eq!(begun.elapsed(), PAUSE + REST);
        way.begin();
        way.end(true);
        fresh.want();
        fresh.want();
        way.due().await;
        assert_eq!(begun.elapsed(), PAUSE * 2 + REST);
        way.due().await;
        assert_eq!(begun.elapsed(), (PAUSE + REST) * 2 + PAUSE, "both shared one");
    }
}
