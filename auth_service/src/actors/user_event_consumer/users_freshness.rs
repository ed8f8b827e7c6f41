//! How fresh the projection is: noted by the consumer, read by every worker, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use shared::clock::Clock;
use shared::tokens::liveness::Freshness;
use shared::tokens::token_set::BootTime;
use tokio::sync::{Notify, watch};

use super::direct_way::DirectRounds;
use super::proofs::Proof;

/// Stands for "none" in the atomics: no boot clock ever shows it.
const NONE: i64 = i64::MIN;

/// What is known of how fresh the projection is. Clones are the same view.
#[derive(Clone, Debug)]
pub struct UsersFreshness {
    noted: Arc<Noted>,
    rounds: DirectRounds,
    clock: Clock,
}

#[derive(Debug)]
struct Noted {
    /// When the question was asked whose answer last proved that the projection is on the log's end.
    asked_at: AtomicI64,
    /// Where the log ended by that answer. Written before `asked_at` and read after it, so it is
    /// never of an earlier answer.
    log_end_seq: AtomicI64,
    /// Since when no answers come. Cleared after `asked_at` is written, and read before it.
    cut_off_since: AtomicI64,
    /// Answers have come since the last look at this.
    is_answered: AtomicBool,
    /// Tells those who wait that something of it has changed.
    changed: watch::Sender<()>,
    /// Has the session over the bus ask.
    wanted: Notify,
}

impl UsersFreshness {
    /// Nothing is known yet.
    pub(super) fn new(rounds: DirectRounds, clock: Clock) -> Self {
        let noted = Noted {
            asked_at: AtomicI64::new(NONE),
            log_end_seq: AtomicI64::new(0),
            cut_off_since: AtomicI64::new(NONE),
            is_answered: AtomicBool::new(false),
            changed: watch::Sender::new(()),
            wanted: Notify::new(),
        };
        Self { noted: Arc::new(noted), rounds, clock }
    }

    /// What is known of the users' log. Of the token set it says nothing.
    pub fn load(&self) -> Freshness {
        let some = |value| (value != NONE).then_some(BootTime(value));
        // In this order: see the fields.
        let cut_off_since = some(self.noted.cut_off_since.load(Ordering::Acquire));
        let users_asked_at = some(self.noted.asked_at.load(Ordering::Acquire));
        Freshness {
            users_asked_at,
            log_end_seq: self.noted.log_end_seq.load(Ordering::Acquire),
            set_marked_at: None,
            is_anybody_missing: true,
            users_cut_off_since: cut_off_since,
            set_cut_off_since: None,
            refuse_after_ms: None,
        }
    }

    /// Tells of each change of what [`Self::load`] shows.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.noted.changed.subscribe()
    }

    /// The time by the clock that all of this is measured with.
    pub fn now(&self) -> BootTime {
        BootTime(self.clock.boot_ms())
    }

    /// For how many seconds no answer has come, if user_service is known to be out of reach.
    pub fn cut_off_s(&self) -> Option<i64> {
        self.load().users_cut_off_since.map(|since| self.now().since_ms(since) / 1000)
    }

    /// Has user_service asked soon, whichever way is used: somebody waits for a proof.
    pub fn want_proof(&self) {
        self.noted.wanted.notify_one();
        self.rounds.want();
    }

    /// Whether user_service is followed directly.
    pub fn is_direct(&self) -> bool {
        self.rounds.is_in_use()
    }

    /// Has user_service asked soon, if it is followed directly: through the broker, what has
    /// happened comes by itself.
    pub fn want(&self) {
        if self.is_direct() {
            self.rounds.want();
        }
    }

    /// Waits until the answer to a question that is asked from now on has been applied. Returns at
    /// once while the broker is used, which needs no questions, and after a second in any case.
    pub async fn renew(&self) {
        self.rounds.renew().await;
    }

    /// For the consumer: waits until a proof is wanted.
    pub(super) async fn wanted(&self) {
        self.noted.wanted.notified().await;
    }

    /// For the consumer: user_service has answered, and what it said was carried out.
    pub(super) fn note_answer(&self) {
        self.noted.is_answered.store(true, Ordering::Relaxed);
    }

    /// For the consumer: whether user_service has answered since the last call.
    pub(super) fn take_answered(&self) -> bool {
        self.noted.is_answered.swap(false, Ordering::Relaxed)
    }

    /// For the consumer: the projection shows all that the log had when this was asked.
    pub(super) fn prove(&self, Proof { asked_at, log_end_seq, .. }: Proof) {
        self.noted.log_end_seq.store(log_end_seq, Ordering::Release);
        self.noted.asked_at.store(asked_at.0, Ordering::Release);
        if self.noted.cut_off_since.swap(NONE, Ordering::AcqRel) != NONE {
            tracing::info!("user_service answers again, and all that it has told is applied");
        }
        self.noted.changed.send_replace(());
    }

    /// For the consumer: user_service is out of reach. Stays until the next proof.
    pub(super) fn cut_off(&self) {
        let now = self.now().0;
        let was = self.noted.cut_off_since.compare_exchange(
            NONE,
            now,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if was.is_ok() {
            tracing::warn!(
                "no answer comes from user_service: tokens are judged by what was known until now"
            );
            self.noted.changed.send_replace(());
        }
    }
}

#[cfg(test)]
impl UsersFreshness {
    /// A projection that is at the end of the log at this moment.
    pub(crate) fn proved(clock: Clock) -> Self {
        let (_, fresh) = super::direct_way::direct_way(None, clock);
        let (asked_at, incarnation) = (fresh.now(), contract::Incarnation::default());
        fresh.prove(Proof { asked_at, incarnation, log_end_seq: 0 });
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::super::direct_way::direct_way;
    use super::*;
    use contract::Incarnation;
    use futures_util::FutureExt;
    use shared::tokens::liveness::FreshnessState;

    fn proof(asked_at: BootTime, log_end_seq: i64) -> Proof {
        Proof { asked_at, incarnation: Incarnation::default(), log_end_seq }
    }

    /// As a replica that has all records of the others.
    fn state(fresh: &UsersFreshness) -> FreshnessState {
        let now = fresh.now();
        Freshness { set_marked_at: Some(now), ..fresh.load() }.state(now)
    }

    #[tokio::test]
    async fn a_proof_holds_for_three_seconds_from_its_question() {
        let clock = Clock::manual(0);
        let (_, fresh) = direct_way(None, clock.clone());
        let mut changes = fresh.changes();
        assert_eq!(state(&fresh), FreshnessState::Stale, "at the start");
        fresh.prove(proof(BootTime(clock.boot_ms() - 1_000), 7));
        assert!(changes.changed().now_or_never().is_some());
        assert_eq!((state(&fresh), fresh.load().log_end_seq), (FreshnessState::Fresh, 7));
        clock.advance_ms(2_000);
        assert_eq!(state(&fresh), FreshnessState::Fresh);
        clock.advance_ms(1);
        assert_eq!(state(&fresh), FreshnessState::Stale);
    }

    #[tokio::test]
    async fn cut_off_counts_from_its_beginning_until_the_next_proof() {
        let clock = Clock::manual(0);
        let (_, fresh) = direct_way(None, clock.clone());
        let mut changes = fresh.changes();
        fresh.cut_off();
        clock.advance_ms(5_000);
        fresh.cut_off();
        assert_eq!((fresh.cut_off_s(), state(&fresh)), (Some(5), FreshnessState::CutOff));
        assert!(changes.changed().now_or_never().is_some());
        fresh.prove(proof(fresh.now(), 1));
        assert_eq!((fresh.cut_off_s(), state(&fresh)), (None, FreshnessState::Fresh));
    }

    #[tokio::test]
    async fn wishes_of_many_requests_are_one_question() {
        let (_, fresh) = direct_way(None, Clock::manual(0));
        assert!(fresh.wanted().now_or_never().is_none());
        (0..3).for_each(|_| fresh.want_proof());
        assert!(fresh.wanted().now_or_never().is_some());
        assert!(fresh.wanted().now_or_never().is_none());
    }
}
