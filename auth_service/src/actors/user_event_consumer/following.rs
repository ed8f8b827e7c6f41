//! The consumer's loop: deliveries in, effects out, one after the other.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use contract::topology::{SYNC_REQUESTS_QUEUE, control_queue};
use contract::{Cursor, SentRecord, SnapshotUser, SyncRequest, UserChange, UserId};
use futures_util::FutureExt;
use shared::actors::{AskError, Mailbox, ask};
use shared::bus::{Bus, Delivery, Destination, Message, Outgoing};
use shared::fail_point::fail_point;
use shared::log_sync::{AskReason, Effect, Follower, Input};
use shared::secrets::random_bytes;
use tokio::sync::watch;

use super::agreement::{Agreement, Difference};
use super::deliveries::to_event;
use super::progress::Progress;
use super::setback::SessionError;
use super::subscriptions::{ASK_INTERVAL_MAX, ASK_INTERVAL_MIN, Arrival, Subscriptions};
use crate::actors::credential_repository::{
    Applied, ApplyEvents, CredentialRepository, FindSuperseded, StageSnapshotPart, SwapIn,
};
use crate::actors::dead_letters::{DeadLetters, SendToDeadLetters};
use crate::actors::revocations::{Revocations, RevokeUsers};
use crate::metrics::FollowingMetrics;
use crate::store::projection::ApplyError;
use crate::store::staging::Refused;

/// Deliveries that are taken together, so that they share a transaction.
const BATCH_MAX: usize = 500;
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Short: whoever comes back is followed again within seconds.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How long a projection that cannot be continued waits before it takes the next input.
const UNAPPLIABLE_PAUSE: Duration = Duration::from_millis(500);
/// Stands for the routing key of a dead letter that is one user of a snapshot.
const SNAPSHOT_USER: &str = "snapshot.user";

/// Everything that the loop works with.
pub struct FollowLoop {
    /// Where deliveries come from and questions go to.
    pub bus: Arc<dyn Bus>,
    /// Takes what is to be applied.
    pub repository: Mailbox<CredentialRepository>,
    /// What the repository has stored.
    pub applied: watch::Receiver<Applied>,
    /// Takes whose tokens are dead, before the projection moves.
    pub revocations: Mailbox<Revocations>,
    /// Names the queues.
    pub replica: String,
    /// Keeps copies of messages that are of no use.
    pub dead_letters: Mailbox<DeadLetters>,
    /// Told how it goes.
    pub progress: watch::Sender<Progress>,
    /// Told of everything.
    pub metrics: FollowingMetrics,
}

impl FollowLoop {
    /// Follows for ever: after each setback again from the stored cursor.
    pub(super) async fn run(self) {
        let (mut backoff, mut is_healthy) = (BACKOFF_MIN, true);
        let mut is_quiet = false;
        loop {
            let mut session = SyncSession::new(&self, is_quiet);
            let outcome = AssertUnwindSafe(session.follow()).catch_unwind().await;
            let setback = outcome.unwrap_or(SessionError::Panicked);
            if session.has_worked {
                (backoff, is_healthy) = (BACKOFF_MIN, true);
            }
            // Nothing to warn of: user_service may just be down.
            is_quiet = matches!(setback, SessionError::Silent);
            if is_quiet {
                continue;
            }
            if is_healthy {
                let error = &setback as &dyn Error;
                tracing::warn!(error, "the log of user_service is not followed; trying again");
            }
            is_healthy = false;
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
}

/// From one subscription to its end.
struct SyncSession<'a> {
    with: &'a FollowLoop,
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
    /// It only goes on where a silent one ended.
    is_quiet: bool,
}

impl<'a> SyncSession<'a> {
    fn new(with: &'a FollowLoop, is_quiet: bool) -> Self {
        let control_queue = control_queue(&with.replica, &random_word());
        let follower = new_follower(with, &control_queue);
        let agreement = Agreement::default();
        Self {
            with,
            follower,
            agreement,
            has_worked: false,
            control_queue,
            is_quiet,
            ask_interval: ASK_INTERVAL_MIN,
        }
    }

    async fn follow(&mut self) -> SessionError {
        match self.try_follow().await {
            Ok(never) => match never {},
            Err(setback) => setback,
        }
    }

    async fn try_follow(&mut self) -> Result<std::convert::Infallible, SessionError> {
        let mut subscriptions =
            Subscriptions::open(&self.with.bus, &self.with.replica, &self.control_queue).await?;
        self.take(Input::Connected).await?;
        loop {
            let arrivals = subscriptions.next_batch(BATCH_MAX).await?;
            self.take_all(arrivals).await?;
            subscriptions.set_ask_interval(self.ask_interval);
            if self.follower.awaited_nonce().is_none() || self.ask_interval > ASK_INTERVAL_MIN {
                subscriptions.take_events();
            }
            fail_point("applied");
            subscriptions.acknowledge().await?;
            if !self.has_worked {
                self.has_worked = true;
                if !self.is_quiet {
                    tracing::info!("following the log of user_service");
                }
            }
        }
    }

    async fn take(&mut self, input: Input) -> Result<(), SessionError> {
        let effects = self.follower.step(input);
        self.carry_out(effects).await
    }

    /// Takes what arrived, in its order; records that follow each other share a transaction.
    async fn take_all(&mut self, arrivals: Vec<Arrival>) -> Result<(), SessionError> {
        let (mut effects, mut useless_count) = (Vec::new(), 0);
        for arrival in arrivals {
            match arrival.read() {
                Ok(input) => {
                    self.observe(&input);
                    join(&mut effects, self.follower.step(input));
                }
                Err(useless) => {
                    useless_count += 1;
                    let (Delivery { message, routing_key, .. }, undecodable) = *useless;
                    self.bury(message, routing_key, undecodable.to_string());
                }
            }
        }
        if useless_count > 0 {
            // One line for all of them: a flood of these must not become one of the log.
            tracing::warn!(useless_count, "messages of no use went to the dead letters");
        }
        let outcome = match self.carry_out(effects).await {
            Err(SessionError::Unappliable { seq, reason }) => self.start_anew(seq, &reason).await,
            other => other,
        };
        outcome?;
        self.show_progress();
        self.compare().await
    }

    fn show_progress(&mut self) {
        let applied = *self.with.applied.borrow();
        if let Some(caught_up_at) = self.agreement.take_level_at(&applied) {
            self.with.progress.send_modify(|progress| progress.caught_up_at = caught_up_at);
        }
    }

    /// The checksum tells what anybody but the log has changed.
    async fn compare(&mut self) -> Result<(), SessionError> {
        let applied = *self.with.applied.borrow();
        let difference = self.agreement.find_difference(&applied);
        let Some(Difference { needs_repair }) = difference else { return Ok(()) };
        self.with.metrics.digest_mismatches.inc();
        tracing::warn!(seq = applied.seq(), needs_repair, "the users here are not those there");
        if needs_repair { self.take(Input::Unappliable).await } else { Ok(()) }
    }

    fn observe(&mut self, input: &Input) {
        match input {
            Input::Head(head) => self.agreement.hear(*head),
            Input::SnapshotPart(part) => self.agreement.hear_snapshot(part.as_of, part.checksum),
            _ => {}
        }
        if self.is_answered_by(input) {
            self.ask_interval = ASK_INTERVAL_MIN;
        }
        let known = match input {
            Input::Head(head) => head.position.seq,
            Input::Continue(answer) => answer.head_seq,
            Input::SnapshotPart(part) => part.as_of.position.seq,
            Input::Connected | Input::Waited | Input::Unappliable => return,
            Input::Record(incarnation, record) => {
                let Cursor { incarnation: ours, position } = self.follower.cursor();
                let seq = record.record.position.seq;
                if *incarnation == ours && seq <= position.seq {
                    self.with.metrics.duplicates.inc();
                }
                seq.max(self.with.progress.borrow().head_seq)
            }
        };
        self.with.progress.send_modify(|progress| progress.head_seq = known);
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
                Effect::Ask(request, reason) => self.send(&request, reason),
                Effect::Apply(records, cursor) => self.apply(records, cursor).await?,
                Effect::Stage { part, parts, users } => self.stage(part, parts, users).await?,
                Effect::SwapIn(cursor) => self.swap_in(cursor).await?,
            }
        }
        Ok(())
    }

    /// Not waited for: a bus that hangs must not hold up what has arrived. If the question is
    /// lost, `Waited` repeats it.
    fn send(&mut self, request: &SyncRequest, reason: AskReason) {
        if reason == AskReason::Unanswered {
            self.ask_interval = (self.ask_interval * 2).min(ASK_INTERVAL_MAX);
        }
        let reason = reason.as_str();
        self.with.metrics.count_repair(reason);
        tracing::debug!(reason, seq = request.cursor.position.seq, "asking user_service");
        let body = serde_json::to_vec(request).unwrap_or_default().into();
        let (id, kind) = (request.nonce.clone(), "sync.request".to_owned());
        let message = Message { id, kind, body, ..Message::default() };
        self.publish(SYNC_REQUESTS_QUEUE, message);
    }

    /// Revocations first: if we die in between, they are only repeated.
    async fn apply(&self, records: Vec<SentRecord>, cursor: Cursor) -> Result<(), SessionError> {
        self.revoke(records.iter().filter_map(revocation_of).collect()).await?;
        fail_point("revoked");
        let records: Arc<[SentRecord]> = records.into();
        let command = ApplyEvents { records: Arc::clone(&records), cursor };
        let applied = ask(&self.with.repository, command).await.map_err(SessionError::failed)?;
        if let Err(ApplyError::Unappliable { seq, reason }) = &applied
            && let Some(record) = records.iter().find(|sent| sent.record.position.seq == *seq)
        {
            let routing_key = record.record.kind.routing_key().to_owned();
            self.bury(to_event(cursor.incarnation, record), routing_key, reason.clone());
        }
        Ok(applied?)
    }

    async fn stage(
        &self,
        part: u32,
        parts: u32,
        users: Vec<SnapshotUser>,
    ) -> Result<(), SessionError> {
        let staged = ask(&self.with.repository, StageSnapshotPart { part, users }).await;
        for Refused { user, reason } in
            staged.map_err(SessionError::failed)?.map_err(SessionError::failed)?
        {
            let (id, kind) = (format!("user-{}", user.id), SNAPSHOT_USER.to_owned());
            let body = serde_json::to_vec(&user).unwrap_or_default().into();
            let message = Message { id, kind, body, ..Message::default() };
            self.bury(message, SNAPSHOT_USER.to_owned(), reason);
        }
        self.with.progress.send_modify(|progress| progress.loaded = Some((part, parts)));
        if tenth(part, parts) != tenth(part - 1, parts) {
            tracing::info!(part, parts, "loading a snapshot");
        }
        Ok(())
    }

    async fn swap_in(&mut self, cursor: Cursor) -> Result<(), SessionError> {
        let superseded = ask(&self.with.repository, FindSuperseded).await;
        let superseded = superseded.map_err(SessionError::failed)?.map_err(SessionError::failed)?;
        self.revoke(superseded).await?;
        fail_point("staged");
        let swapped = ask(&self.with.repository, SwapIn { cursor }).await;
        swapped.map_err(SessionError::failed)?.map_err(SessionError::failed)?;
        self.with.progress.send_modify(|progress| progress.loaded = None);
        self.with.metrics.snapshots.inc();
        tracing::info!(seq = cursor.position.seq, "a snapshot is in the projection's place");
        if !self.agreement.is_snapshot_whole(&self.with.applied.borrow()) {
            self.with.metrics.digest_mismatches.inc();
            tracing::warn!(
                seq = cursor.position.seq,
                "the snapshot has other users than it should"
            );
        }
        Ok(())
    }

    async fn revoke(&self, users: Vec<(UserId, i64)>) -> Result<(), SessionError> {
        if users.is_empty() {
            return Ok(());
        }
        loop {
            match ask(&self.with.revocations, RevokeUsers(users.clone())).await {
                // Logouts fill its mailbox: they must not keep the projection behind.
                Err(AskError::Full(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                answer => {
                    return answer.map_err(SessionError::failed)?.map_err(SessionError::failed);
                }
            }
        }
    }

    /// The follower went ahead of the projection: back to what is stored, and on by a snapshot.
    async fn start_anew(&mut self, seq: i64, reason: &str) -> Result<(), SessionError> {
        tracing::error!(seq, reason, "a record cannot be applied; asking for a snapshot");
        self.follower = new_follower(self.with, &self.control_queue);
        tokio::time::sleep(UNAPPLIABLE_PAUSE).await;
        self.take(Input::Unappliable).await
    }

    /// Hands a copy to the dead letters. What was missed is asked for as any gap is.
    fn bury(&self, message: Message, routing_key: String, reason: String) {
        self.with.metrics.dead_letters.inc();
        tracing::debug!(id = message.id, reason, "a message is of no use");
        // It refuses when too many wait, and says so itself.
        let _ = self.with.dead_letters.tell(SendToDeadLetters { message, routing_key, reason });
    }

    fn publish(&self, queue: &str, message: Message) {
        let outgoing = Outgoing { to: Destination::Queue(queue.to_owned()), message };
        let bus = Arc::clone(&self.with.bus);
        actix::spawn(async move {
            if let Err(error) = bus.publish(vec![outgoing]).await {
                tracing::debug!(error = &error as &dyn Error, "a message was not sent");
            }
        });
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

/// Whose tokens the record ends, and the oldest password version whose tokens live on.
fn revocation_of(sent: &SentRecord) -> Option<(UserId, i64)> {
    // What cannot be read ends nothing here: applying it fails, and a snapshot follows.
    let change: UserChange = serde_json::from_str(&sent.record.data).ok()?;
    match change.user {
        None => Some((change.id, i64::MAX)),
        Some(state) if state.password_version > 1 => Some((change.id, state.password_version)),
        Some(_) => None,
    }
}

/// Puts `later` behind `effects`; two transactions that follow each other become one.
fn join(effects: &mut Vec<Effect>, later: Vec<Effect>) {
    for effect in later {
        match (effects.last_mut(), effect) {
            (Some(Effect::Apply(records, cursor)), Effect::Apply(more, last)) => {
                records.extend(more);
                *cursor = last;
            }
            (_, effect) => effects.push(effect),
        }
    }
}

/// How many tenths of a snapshot are there after this part.
fn tenth(part: u32, parts: u32) -> u64 {
    u64::from(part) * 10 / u64::from(parts.max(1))
}
