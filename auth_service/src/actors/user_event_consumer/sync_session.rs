//! One session of following: deliveries in, effects out, one after the other.

mod asking;
mod asking_directly;
mod reading;
mod telling;
mod turn;
mod writing;

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use contract::Cursor;
use contract::topology::control_queue;
use shared::actors::Backoff;
use shared::fail_point::fail_point;
use shared::log_sync::{AskReason, Effect, Follower, Input};
use shared::secrets::random_bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::agreement::Agreement;
use super::direct_way::DirectWay;
use super::follow_loop::FollowLoop;
use super::proofs::Proofs;
use super::repair_pacing::RepairPacing;
use super::session_error::SessionError;
use super::subscriptions::{ASK_INTERVAL_MIN, Arrival, Subscriptions};
use asking::{Asking, Deferred, PROOF_INTERVAL, Sent};
use telling::Answer;

/// Deliveries that are taken together, so that they share a transaction.
const BATCH_MAX: usize = 500;
/// The longest pause between tries of a projection that cannot be written.
const WRITE_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Without an answer for so long, heads prove nothing.
const PROOF_HOLDS: Duration = Duration::from_secs(7);

/// From one subscription to its end.
pub(super) struct SyncSession<'a> {
    with: &'a FollowLoop,
    pacing: &'a mut RepairPacing,
    follower: Follower,
    /// Compares the users here with those there.
    agreement: Agreement,
    stage: Stage,
    /// The batch had an authentic head or answer.
    has_heard: bool,
    /// When the last question was answered, or else when the session began.
    answered_at: Instant,
    /// The last question that was sent.
    sent: Option<Sent>,
    /// Answers whose end of the log is not applied yet.
    proofs: Proofs,
    /// Requests wait for the answer to a question that is still to be asked.
    is_proof_wanted: bool,
    /// The queue for heads and answers.
    control_queue: String,
    /// How far apart the looks at an unanswered question are: twice as far after each.
    ask_interval: Duration,
    /// It only goes on where a silent one ended.
    is_quiet: bool,
    /// A question that must wait, because the same cause came up a moment ago.
    deferred: Option<Deferred>,
    /// Set while the projection cannot be written: then tokens are ended in memory, deliveries are
    /// acknowledged (the log has them), and nothing is applied until this moment.
    resume_at: Option<Instant>,
    writing: Backoff,
    asking: Asking,
}

/// How far a session has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    /// It has its subscriptions.
    Opened,
    /// Something was carried out.
    Working,
}

impl<'a> SyncSession<'a> {
    /// A session over the bus.
    pub(super) fn new(
        with: &'a FollowLoop,
        pacing: &'a mut RepairPacing,
        word: &str,
        is_quiet: bool,
    ) -> Self {
        Self::of(with, pacing, word, Asking::Bus, is_quiet)
    }

    fn of(
        with: &'a FollowLoop,
        pacing: &'a mut RepairPacing,
        word: &str,
        asking: Asking,
        is_quiet: bool,
    ) -> Self {
        // Without a queue it is only a name, by which user_service tells followers apart.
        let control_queue = control_queue(&with.replica, word);
        Self {
            with,
            pacing,
            follower: new_follower(with, &control_queue),
            agreement: Agreement::default(),
            stage: Stage::New,
            has_heard: false,
            answered_at: Instant::now(),
            sent: None,
            proofs: Proofs::default(),
            is_proof_wanted: false,
            control_queue,
            ask_interval: ASK_INTERVAL_MIN,
            is_quiet,
            deferred: None,
            resume_at: None,
            writing: Backoff::new("writing the projection").with_longest(WRITE_PAUSE_MAX),
            asking,
        }
    }

    /// Whether it had its subscriptions.
    pub(super) fn has_opened(&self) -> bool {
        self.stage != Stage::New
    }

    /// The question has been repeated: heads may come all the same.
    fn is_unanswered(&self) -> bool {
        self.ask_interval > ASK_INTERVAL_MIN
    }

    pub(super) async fn follow(&mut self, turn: &Mutex<()>) -> SessionError {
        match self.try_follow(turn).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn try_follow(&mut self, turn: &Mutex<()>) -> Result<Infallible, SessionError> {
        let names = (&*self.with.replica, &*self.control_queue);
        let mut subscriptions =
            Subscriptions::open(&self.with.bus, names, self.with.fresh.clone()).await?;
        self.stage = Stage::Opened;
        let _turn = self.take_turn(turn, &mut subscriptions).await?;
        self.with.direct.iter().for_each(DirectWay::rest);
        // The projection may have moved meanwhile.
        self.follower = new_follower(self.with, &self.control_queue);
        self.take(Input::Connected).await?;
        loop {
            let arrivals = subscriptions.next_batch(BATCH_MAX).await?;
            self.take_all(arrivals).await?;
            subscriptions.note_read(std::mem::take(&mut self.has_heard))?;
            subscriptions.set_ask_interval(self.ask_interval);
            subscriptions.set_alarm(self.alarm());
            if self.follower.awaited_nonce().is_none() || self.is_unanswered() {
                subscriptions.take_events();
            }
            fail_point("applied");
            subscriptions.acknowledge().await?;
            if self.is_unanswered() && self.with.direct.as_ref().is_some_and(DirectWay::may_help) {
                return Err(SessionError::Silent);
            }
            if self.stage != Stage::Working {
                self.stage = Stage::Working;
                if !self.is_quiet {
                    tracing::info!("following the log of user_service");
                }
            }
        }
    }

    fn alarm(&self) -> Option<Instant> {
        let deferred = self.deferred.as_ref().map(|deferred| deferred.due);
        let proof = self.may_ask_for_proof().then_some(self.answered_at + PROOF_INTERVAL);
        [deferred, self.resume_at, proof].into_iter().flatten().min()
    }

    async fn take(&mut self, input: Input) -> Result<(), SessionError> {
        let effects = self.follower.step(input);
        self.carry_out(effects).await
    }

    /// Takes what arrived, in its order; records that follow each other share a transaction.
    async fn take_all(&mut self, arrivals: Vec<Arrival>) -> Result<(), SessionError> {
        let (mut effects, mut is_answered, mut whole) = (Vec::new(), false, None);
        for arrival in arrivals {
            self.is_proof_wanted |= matches!(arrival, Arrival::Wanted);
            let Some(input) = self.read(&arrival) else { continue };
            let answer = self.answer_in(&input);
            is_answered |= answer.is_some();
            let proof = answer.and_then(|Answer(proof)| proof);
            whole = proof.or(whole);
            self.observe(&input, proof.is_some());
            if self.resume_at.is_none() {
                join(&mut effects, self.follower.step(input));
            }
        }
        if self.resume_at.take_if(|at| *at <= Instant::now()).is_some() {
            effects = self.follower.step(Input::Connected);
        }
        let outcome = match self.carry_out(effects).await {
            Ok(()) => {
                self.note_answer(is_answered, whole);
                Ok(())
            }
            Err(SessionError::Unappliable { seq, reason }) => self.start_anew(seq, &reason).await,
            Err(SessionError::Failed(error)) => {
                self.stand_still(&*error);
                Ok(())
            }
            other => other,
        };
        outcome?;
        self.drop_undone_ends(whole.map(|proof| proof.incarnation));
        self.show_proofs();
        self.ask_for_proof().await?;
        self.send_what_is_due();
        self.show_progress();
        self.compare().await
    }

    fn show_progress(&mut self) {
        let caught_up_at = self.agreement.take_caught_up_at(&self.with.applied.borrow());
        if let Some(caught_up_at) = caught_up_at {
            self.with.progress.send_modify(|progress| progress.caught_up_at = caught_up_at);
        }
    }

    /// The checksum tells what anybody but the log has changed; hashes tell by which key they were
    /// sealed.
    async fn compare(&mut self) -> Result<(), SessionError> {
        if self.follower.awaited_nonce().is_some() || self.resume_at.is_some() {
            // A repair is on its way.
            return Ok(());
        }
        let (differs, seq, unopenable) = {
            let applied = self.with.applied.borrow();
            let differs = self.agreement.finds_difference(&applied);
            (differs, applied.seq(), applied.hashes.unopenable())
        };
        if differs {
            self.with.metrics.checksum_mismatches.inc();
            tracing::warn!(seq, "the projection does not match the checksum of user_service");
        }
        let reason = match unopenable {
            _ if differs => AskReason::Difference,
            0 => return Ok(()),
            _ => AskReason::UnopenableHashes,
        };
        let position = self.follower.cursor().position;
        if self.pacing.is_due(reason, position, Instant::now()) {
            return self.take(Input::SnapshotNeeded(reason)).await;
        }
        Ok(())
    }

    fn observe(&mut self, input: &Input, is_answered: bool) {
        match input {
            Input::Head(head) if self.answered_at.elapsed() < PROOF_HOLDS => {
                self.agreement.hear(*head);
            }
            Input::Record(incarnation, record) => self.note_ends(*incarnation, [record]),
            Input::Continue(answer) => self.note_ends(answer.incarnation, &answer.records),
            _ => {}
        }
        if is_answered {
            self.ask_interval = ASK_INTERVAL_MIN;
            self.answered_at = Instant::now();
        }
        let known = match input {
            Input::Head(head) => head.position.seq,
            Input::Continue(answer) => answer.head_seq,
            Input::SnapshotPart(part) => part.as_of.position.seq,
            Input::Connected | Input::Waited | Input::Due | Input::SnapshotNeeded(_) => return,
            Input::Record(incarnation, record) => {
                let Cursor { incarnation: ours, position } = self.follower.cursor();
                let seq = record.position.seq;
                if *incarnation == ours && seq <= position.seq {
                    self.with.metrics.duplicates.inc();
                }
                seq.max(self.with.progress.borrow().head_seq)
            }
        };
        self.with.progress.send_modify(|progress| progress.head_seq = known);
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), SessionError> {
        for effect in effects {
            match effect {
                Effect::Ask(request, reason) => self.ask(request, reason),
                Effect::Apply(changes, cursor) => self.apply(changes, cursor).await?,
                Effect::Stage { part, parts, users } => self.stage(part, parts, users).await?,
                Effect::SwapIn(cursor) => self.swap_in(cursor).await?,
            }
        }
        Ok(())
    }

    /// The follower went ahead of the projection: back to what is stored, and on by a snapshot.
    async fn start_anew(&mut self, seq: i64, reason: &str) -> Result<(), SessionError> {
        tracing::error!(seq, reason, "a record cannot be applied; a snapshot is needed");
        self.follower = new_follower(self.with, &self.control_queue);
        self.deferred = None;
        self.take(Input::SnapshotNeeded(AskReason::Unappliable)).await
    }

    fn note_written(&mut self) {
        self.writing.worked();
        self.with.progress.send_if_modified(|progress| std::mem::take(&mut progress.is_stuck));
    }

    /// Nothing can be written, for instance because the disk is full: back to what is stored, and on
    /// from there after a while.
    fn stand_still(&mut self, error: &(dyn Error + 'static)) {
        self.resume_at = Some(Instant::now() + self.writing.failed(error));
        self.follower = new_follower(self.with, &self.control_queue);
        self.deferred = None;
        self.with.progress.send_modify(|progress| progress.is_stuck = true);
    }
}

/// Stands at the stored cursor; answers to an earlier follower's questions are not its own.
fn new_follower(with: &FollowLoop, control_queue: &str) -> Follower {
    let cursor = with.applied.borrow().cursor.unwrap_or_default();
    Follower::new(cursor, random_word(), control_queue.to_owned())
}

pub(super) fn random_word() -> String {
    data_encoding::HEXLOWER.encode(&random_bytes::<8>())
}

/// Puts `later` behind `effects`; two transactions that follow each other become one.
fn join(effects: &mut Vec<Effect>, later: Vec<Effect>) {
    for effect in later {
        match (effects.last_mut(), effect) {
            (Some(Effect::Apply(changes, cursor)), Effect::Apply(more, last)) => {
                changes.extend(more);
                *cursor = last;
            }
            (_, effect) => effects.push(effect),
        }
    }
}
