//! One session of following: deliveries in, effects out, one after the other.

mod asking_directly;
mod reading;
mod turn;
mod writing;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use contract::topology::control_queue;
use contract::{Cursor, SyncRequest, UserChange, UserId};
use shared::actors::Backoff;
use shared::fail_point::fail_point;
use shared::log_sync::{AskReason, Effect, Follower, Input, ReceivedRecord};
use shared::secrets::random_bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::agreement::Agreement;
use super::direct_way::DirectWay;
use super::follow_loop::FollowLoop;
use super::repair_pacing::RepairPacing;
use super::session_error::SessionError;
use super::subscriptions::{ASK_INTERVAL_MAX, ASK_INTERVAL_MIN, Arrival, Subscriptions};
/// Deliveries that are taken together, so that they share a transaction.
const BATCH_MAX: usize = 500;
/// The longest pause between tries of a projection that cannot be written.
const WRITE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// From one subscription to its end.
pub(super) struct SyncSession<'a> {
    with: &'a FollowLoop,
    pacing: &'a mut RepairPacing,
    follower: Follower,
    /// Compares the users here with those there.
    agreement: Agreement,
    /// Something was carried out.
    has_worked: bool,
    /// The queue for heads and answers. Each session has its own: the broker may believe for a
    /// while that the last one's consumer is alive.
    control_queue: String,
    /// How far apart the looks at an unanswered question are: twice as far after each.
    ask_interval: Duration,
    /// The question has been repeated: heads may come all the same.
    is_unanswered: bool,
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

/// How questions are asked.
enum Asking {
    Bus,
    /// One after the other: these are next.
    Directly(VecDeque<SyncRequest>),
}

struct Deferred {
    due: Instant,
    request: SyncRequest,
    reason: AskReason,
}

impl<'a> SyncSession<'a> {
    /// A session over the bus.
    pub(super) fn new(with: &'a FollowLoop, pacing: &'a mut RepairPacing, is_quiet: bool) -> Self {
        Self::of(with, pacing, Asking::Bus, is_quiet)
    }

    fn of(
        with: &'a FollowLoop,
        pacing: &'a mut RepairPacing,
        asking: Asking,
        is_quiet: bool,
    ) -> Self {
        // Without a queue it is only a name, by which user_service tells followers apart.
        let control_queue = control_queue(&with.replica, &random_word());
        Self {
            with,
            pacing,
            follower: new_follower(with, &control_queue),
            agreement: Agreement::default(),
            has_worked: false,
            control_queue,
            ask_interval: ASK_INTERVAL_MIN,
            is_unanswered: false,
            is_quiet,
            deferred: None,
            resume_at: None,
            writing: Backoff::new("writing the projection").with_longest(WRITE_PAUSE_MAX),
            asking,
        }
    }

    pub(super) async fn follow(mut self, turn: &Mutex<()>) -> SessionError {
        match self.try_follow(turn).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn try_follow(&mut self, turn: &Mutex<()>) -> Result<Infallible, SessionError> {
        let mut subscriptions =
            Subscriptions::open(&self.with.bus, &self.with.replica, &self.control_queue).await?;
        let _turn = self.take_turn(turn, &mut subscriptions).await?;
        self.with.direct.iter().for_each(DirectWay::rest);
        // The projection may have moved meanwhile.
        self.follower = new_follower(self.with, &self.control_queue);
        self.take(Input::Connected).await?;
        loop {
            let arrivals = subscriptions.next_batch(BATCH_MAX).await?;
            self.take_all(arrivals).await?;
            subscriptions.set_ask_interval(self.ask_interval);
            subscriptions.set_alarm(self.alarm());
            if self.follower.awaited_nonce().is_none() || self.ask_interval > ASK_INTERVAL_MIN {
                subscriptions.take_events();
            }
            fail_point("applied");
            subscriptions.acknowledge().await?;
            if self.is_unanswered && self.with.direct.as_ref().is_some_and(DirectWay::may_help) {
                return Err(SessionError::Silent);
            }
            if !self.has_worked {
                self.has_worked = true;
                if !self.is_quiet {
                    tracing::info!("following the log of user_service");
                }
            }
        }
    }

    fn alarm(&self) -> Option<Instant> {
        let deferred = self.deferred.as_ref().map(|deferred| deferred.due);
        [deferred, self.resume_at].into_iter().flatten().min()
    }

    async fn take(&mut self, input: Input) -> Result<(), SessionError> {
        let effects = self.follower.step(input);
        self.carry_out(effects).await
    }

    /// Takes what arrived, in its order; records that follow each other share a transaction.
    async fn take_all(&mut self, arrivals: Vec<Arrival>) -> Result<(), SessionError> {
        let mut effects = Vec::new();
        for arrival in arrivals {
            let Some(input) = self.read(&arrival) else { continue };
            self.observe(&input);
            if self.resume_at.is_none() {
                join(&mut effects, self.follower.step(input));
            }
        }
        if self.resume_at.take_if(|at| *at <= Instant::now()).is_some() {
            effects = self.follower.step(Input::Connected);
        }
        let outcome = match self.carry_out(effects).await {
            Err(SessionError::Unappliable { seq, reason }) => self.start_anew(seq, &reason).await,
            Err(SessionError::Failed(error)) => {
                self.stand_still(&*error);
                Ok(())
            }
            other => other,
        };
        outcome?;
        self.send_what_is_due();
        self.show_progress();
        self.compare().await
    }

    fn show_progress(&mut self) {
        let applied = self.with.applied.borrow().clone();
        if let Some(caught_up_at) = self.agreement.take_caught_up_at(&applied) {
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
        let applied = self.with.applied.borrow().clone();
        let differs = self.agreement.finds_difference(&applied);
        if differs {
            self.with.metrics.checksum_mismatches.inc();
            tracing::warn!(
                seq = applied.seq(),
                "the projection does not match the checksum of user_service"
            );
        }
        let reason = match applied.unopenable.count {
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

    fn observe(&mut self, input: &Input) {
        match input {
            Input::Head(head) => self.agreement.hear(*head),
            Input::Record(_, record) => self.revoke_at_once(std::slice::from_ref(record)),
            Input::Continue(answer) => self.revoke_at_once(&answer.records),
            _ => {}
        }
        if self.is_answered_by(input) {
            (self.ask_interval, self.is_unanswered) = (ASK_INTERVAL_MIN, false);
        }
        let known = match input {
            Input::Head(head) => head.position.seq,
            Input::Continue(answer) => answer.head_seq,
            Input::SnapshotPart(part) => part.as_of.position.seq,
            Input::Connected | Input::Waited | Input::Silence | Input::SnapshotNeeded(_) => return,
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

    /// A genuine record that deletes or sets a password counts at once, whatever its order and
    /// whatever the disk says: it never becomes untrue.
    fn revoke_at_once(&self, records: &[ReceivedRecord]) {
        for record in records {
            if let Some((id, min)) = record.change.as_ref().and_then(revocation_of) {
                self.with.revoke.now(id, min);
            }
        }
    }

    /// Whether it is the last of what was asked for. Parts before it, or late answers to earlier
    /// questions, must not make it impatient: it would ask for a slow snapshot anew without end.
    fn is_answered_by(&self, input: &Input) -> bool {
        let nonce = match input {
            Input::Continue(answer) => &answer.nonce,
            Input::SnapshotPart(part) if part.part == part.parts => &part.nonce,
            _ => return false,
        };
        self.follower.awaited_nonce() == Some(nonce)
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

    /// Sends the question now, or puts it off if the same cause came up a moment ago. A question
    /// that was put off stays so, whatever else comes up.
    fn ask(&mut self, request: SyncRequest, reason: AskReason) {
        if reason == AskReason::Unanswered {
            self.ask_interval = (self.ask_interval * 2).min(ASK_INTERVAL_MAX);
            self.is_unanswered = true;
        }
        if let Some(deferred) = &mut self.deferred {
            deferred.request = request;
            return;
        }
        let now = Instant::now();
        let due = match reason {
            AskReason::Incarnation
            | AskReason::Gap
            | AskReason::RecordHash
            | AskReason::LostTail
            | AskReason::Unappliable => self.pacing.due(reason, request.cursor.position, now),
            // These have waited already, or go on with what was let through.
            _ => now,
        };
        if due <= now {
            self.send(&request, reason);
        } else {
            self.deferred = Some(Deferred { due, request, reason });
        }
    }

    fn send_what_is_due(&mut self) {
        let now = Instant::now();
        if let Some(Deferred { request, reason, .. }) = self.deferred.take_if(|d| d.due <= now) {
            self.send(&request, reason);
        }
    }

    /// Not waited for: a bus that hangs must not hold up what has arrived. If the question is
    /// lost, `Waited` repeats it.
    fn send(&mut self, request: &SyncRequest, reason: AskReason) {
        let reason = reason.as_str();
        self.with.metrics.count_repair(reason);
        tracing::debug!(reason, seq = request.cursor.position.seq, "asking user_service");
        if let Asking::Directly(questions) = &mut self.asking {
            questions.push_back(request.clone());
            return;
        }
        let (question, bus) =
            (self.with.codec.encode_question(request), Arc::clone(&self.with.bus));
        actix::spawn(async move {
            if let Err(error) = bus.publish(vec![question]).await {
                tracing::debug!(error = &error as &dyn Error, "a question was not sent");
            }
        });
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

fn random_word() -> String {
    data_encoding::HEXLOWER.encode(&random_bytes::<8>())
}

/// Whose tokens the change ends, and the oldest password version whose tokens live on.
fn revocation_of(change: &UserChange) -> Option<(UserId, i64)> {
    match &change.user {
        None => Some((change.id, i64::MAX)),
        Some(state) if state.password_version > 1 => Some((change.id, state.password_version)),
        Some(_) => None,
    }
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
