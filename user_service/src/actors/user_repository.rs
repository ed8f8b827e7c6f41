//! The writer.
//!
//! **Owns** the writer of the database, group commit, and the end of the log as this process knows
//! it.
//!
//! **Promises** that a change and its record in the log are either both durable before the reply is
//! sent, or neither exists; that a failed change fails alone; and that ids are never reused. After a
//! start, changes wait for a follower's first question, for a second at most and only if there are
//! followers: the follower may know more of the log than the database does.
//!
//! **When full** refuses at once: 503 with `Retry-After`. While one commit is in progress, its
//! mailbox collects the next group.
//!
//! **When it dies**, nothing that was acknowledged is lost: the next start reads everything from
//! the database. If the disk is full, even at the start, the actor stays alive, refuses writes with
//! 507, and checks every second whether there is space.

mod followers;

use std::error::Error;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorContext, ActorFutureExt, ArbiterHandle, AsyncContext, Context, Handler, Message,
    WrapFuture,
};
use contract::{Head, Position};
use futures_util::FutureExt;
use shared::actors::{Ask, Command, Health, Mailbox, Reply};
use shared::clock::Clock;
use shared::full_disk::Writable;
use tokio::sync::watch;

pub use self::followers::{HearFollower, HearHead};
use crate::metrics::WriterMetrics;
use crate::store::{
    Change, ChangeError, Committed, Lease, LeaseClaim, Opened, Outcome, Pruned, Retention, Store,
    StoreError, Writer,
};

/// How many changes may wait while a commit is in progress.
const MAILBOX_CAPACITY: usize = 1024;
/// How often writing is tried again while the disk is full.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

impl Command for Change {
    type Reply = Outcome;
}

impl Command for LeaseClaim {
    type Reply = Result<Lease, StoreError>;
}

/// "Delete a chunk of the data beyond its retention." Answers whether there is more.
#[derive(Clone, Copy, Debug)]
pub struct Prune(pub Retention);

impl Command for Prune {
    type Reply = Result<bool, StoreError>;
}

/// "Commit the pending changes, close the database, and stop": answers when that is done.
#[derive(Debug)]
pub struct Close;

impl Command for Close {
    type Reply = ();
}

/// The writer.
pub struct UserRepository {
    store: Arc<dyn Store>,
    /// `None` while the disk has been too full to open it, or while a commit is using it.
    writer: Option<Box<dyn Writer>>,
    /// A message of the mailbox has borrowed the writer.
    is_lent: bool,
    /// Why it could not be opened when that was last tried.
    unopened: Option<StoreError>,
    /// The changes of the next commit.
    waiting: Vec<(Change, Reply<Outcome>)>,
    /// They wait until a follower has asked, or it is clear that none does.
    is_holding: bool,
    /// The end of the log that was kept last.
    marked: Option<Position>,
    clock: Clock,
    /// The end of the log, for all that follow it in this process; `None` until the writer is open.
    head: watch::Sender<Option<Head>>,
    /// Whether the last commit found space on the disk; `/readyz` reads it.
    writable: Writable,
    metrics: WriterMetrics,
}

impl UserRepository {
    /// Opens the writer. If the disk is full, opening is tried again later.
    ///
    /// # Errors
    /// The database cannot be used, for another reason than a full disk.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Clock,
        metrics: WriterMetrics,
    ) -> Result<Self, StoreError> {
        let mut repository = Self {
            store,
            writer: None,
            is_lent: false,
            unopened: None,
            waiting: Vec::new(),
            is_holding: false,
            marked: None,
            clock,
            head: watch::Sender::new(None),
            writable: Writable::new("the database"),
            metrics,
        };
        match repository.store.open_writer(repository.clock.unix_ms()).await {
            Ok(opened) => repository.take(opened),
            Err(error) if error.is_passing() => {
                repository.writable.refused(&error);
                repository.unopened = Some(error);
            }
            Err(error) => return Err(error),
        }
        Ok(repository)
    }

    /// Watches the end of the log: changes after each commit that added records.
    pub fn head(&self) -> watch::Receiver<Option<Head>> {
        self.head.subscribe()
    }

    /// Whether the last commit found space on the disk.
    pub fn is_writable(&self) -> Arc<AtomicBool> {
        self.writable.watch()
    }

    /// Starts it on a separate thread, where it may block on the disk.
    pub fn launch(self, thread: &ArbiterHandle, health: &Health) -> Mailbox<Self> {
        Mailbox::start_on(thread, health, MAILBOX_CAPACITY, |_| self)
    }

    fn take(&mut self, Opened { writer, head, is_followed }: Opened) {
        self.writer = Some(writer);
        self.is_holding = is_followed;
        self.announce(head);
    }

    /// Returns whether it is another than before.
    fn announce(&self, head: Head) -> bool {
        self.metrics.head_seq.set(head.position.seq);
        self.head.send_if_modified(|known| known.replace(head) != Some(head))
    }

    /// Lends the writer to `work`, and continues with `then` when the writer is back. No other
    /// message is handled meanwhile. If `work` panics, only `work` has failed, and `then` is not
    /// called.
    ///
    /// What the actor has sent to itself, actix may handle between a message of the mailbox and the
    /// waiting that it has begun. The work then waits for its turn, too.
    fn with_writer<T: 'static>(
        &mut self,
        context: &mut Context<Self>,
        work: impl AsyncFnOnce(&mut dyn Writer) -> Result<T, StoreError> + 'static,
        then: impl FnOnce(&mut Self, Result<T, StoreError>, &mut Context<Self>) + 'static,
    ) {
        if self.is_lent {
            let again = move |(), repository: &mut Self, context: &mut Context<Self>| {
                repository.with_writer(context, work, then);
            };
            context.spawn(ready(()).into_actor(self).map(again));
            return;
        }
        let Some(mut writer) = self.writer.take() else {
            let unopened = self.unopened.clone().unwrap_or_else(not_open);
            return then(self, Err(unopened), context);
        };
        self.is_lent = true;
        let working = async move {
            let outcome = AssertUnwindSafe(work(&mut *writer)).catch_unwind().await;
            (writer, outcome)
        };
        context.wait(working.into_actor(self).map(|(writer, outcome), repository, context| {
            repository.writer = Some(writer);
            repository.is_lent = false;
            if let Ok(outcome) = outcome {
                then(repository, outcome, context);
            }
        }));
    }

    fn commit(&mut self, context: &mut Context<Self>) {
        if self.waiting.is_empty() || self.is_holding {
            return;
        }
        let (changes, replies): (Vec<_>, Vec<_>) = self.waiting.drain(..).unzip();
        let (now_ms, started_at) = (self.clock.unix_ms(), Instant::now());
        self.with_writer(
            context,
            async move |writer| writer.commit(changes, now_ms).await,
            move |repository, committed, context| {
                let took = started_at.elapsed();
                repository.metrics.commit_seconds.observe(took.as_secs_f64());
                repository.answer(replies, committed, context);
            },
        );
    }

    fn answer(
        &mut self,
        replies: Vec<Reply<Outcome>>,
        committed: Result<Committed, StoreError>,
        context: &mut Context<Self>,
    ) {
        match committed {
            Ok(Committed { outcomes, head }) => {
                self.metrics.groups.inc();
                self.metrics.writes.inc_by(outcomes.len() as u64);
                let lost = outcomes.iter().find_map(passing_error).cloned();
                // A group may have nothing to write.
                if self.announce(head) && lost.is_none() {
                    self.writable.works();
                }
                if let Some(error) = lost {
                    self.note_failure(&error, context);
                }
                replies.into_iter().zip(outcomes).for_each(|(reply, outcome)| reply.send(outcome));
            }
            Err(error) => {
                self.note_failure(&error, context);
                let refuse =
                    |reply: Reply<Outcome>| reply.send(Err(ChangeError::Store(error.clone())));
                replies.into_iter().for_each(refuse);
            }
        }
    }

    fn note_failure(&mut self, error: &StoreError, context: &mut Context<Self>) {
        self.metrics.failed_groups.inc();
        self.note_trouble(error, context);
    }

    /// Writing is tried again if the database as a whole is at fault.
    fn note_trouble(&mut self, error: &StoreError, context: &mut Context<Self>) {
        if !error.is_passing() {
            tracing::error!(error = error as &dyn Error, "the database failed");
        } else if self.writable.refused(error) {
            context.notify_later(TryWriting, RETRY_INTERVAL);
        }
    }

    /// Returns whether there is more to prune.
    fn note_pruned(&self, pruned: Pruned) -> bool {
        let Pruned { records, responses, log_start_seq, has_more } = pruned;
        self.metrics.pruned_seq.set(log_start_seq);
        if records > 0 || responses > 0 {
            tracing::info!(
                records,
                responses,
                up_to = log_start_seq,
                "deleted old records and responses"
            );
        }
        has_more
    }

    fn open_again(&mut self, context: &mut Context<Self>) {
        let (store, now_ms) = (Arc::clone(&self.store), self.clock.unix_ms());
        let opening = async move { store.open_writer(now_ms).await };
        context.wait(opening.into_actor(self).map(|opened, repository, context| match opened {
            Ok(opened) => {
                repository.take(opened);
                Self::limit_holding(context);
                // What opening writes finds its place where a change does not.
                context.notify(TryWriting);
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn Error, "the database cannot be opened");
                repository.unopened = Some(error);
                context.notify_later(TryWriting, RETRY_INTERVAL);
            }
        }));
    }
}

/// The error of a change that was made alone, if it is about the database as a whole.
fn passing_error(outcome: &Outcome) -> Option<&StoreError> {
    match outcome {
        Err(ChangeError::Store(error)) => error.is_passing().then_some(error),
        _ => None,
    }
}

/// The error for callers that want to write before the writer could be opened.
fn not_open() -> StoreError {
    StoreError::Full(Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull)))
}

impl Actor for UserRepository {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        Self::watch_log(context);
        if self.writer.is_none() {
            context.notify_later(TryWriting, RETRY_INTERVAL);
        } else {
            Self::limit_holding(context);
        }
    }
}

impl Handler<Ask<Change>> for UserRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<Change>, context: &mut Self::Context) {
        if self.waiting.is_empty() {
            // This message arrives after all messages that wait in the mailbox now: those form the
            // group.
            context.notify(CommitGroup);
        }
        let (change, reply) = ask.into_parts();
        if self.is_holding && self.waiting.len() >= MAILBOX_CAPACITY {
            return reply.send(Err(ChangeError::TooManyWait));
        }
        self.waiting.push((change, reply));
    }
}

impl Handler<Ask<LeaseClaim>> for UserRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<LeaseClaim>, context: &mut Self::Context) {
        let (claim, reply) = ask.into_parts();
        self.with_writer(
            context,
            async move |writer| writer.claim_lease(claim).await,
            |_, lease, _| reply.send(lease),
        );
    }
}

impl Handler<Ask<Prune>> for UserRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<Prune>, context: &mut Self::Context) {
        let (Prune(retention), reply) = ask.into_parts();
        let now_ms = self.clock.unix_ms();
        self.with_writer(
            context,
            async move |writer| writer.prune(retention, now_ms).await,
            |repository, pruned, _| reply.send(pruned.map(|pruned| repository.note_pruned(pruned))),
        );
    }
}

impl Handler<Ask<Close>> for UserRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<Close>, context: &mut Self::Context) {
        if self.is_holding {
            self.refuse_waiting();
        }
        self.commit(context);
        // This message arrives after the commit.
        context.notify(CloseNow(ask));
    }
}

/// Sent to itself: commit the pending changes.
#[derive(Message)]
#[rtype(result = "()")]
struct CommitGroup;

impl Handler<CommitGroup> for UserRepository {
    type Result = ();

    fn handle(&mut self, _: CommitGroup, context: &mut Self::Context) {
        self.commit(context);
    }
}

/// Sent to itself: close the database.
#[derive(Message)]
#[rtype(result = "()")]
struct CloseNow(Ask<Close>);

impl Handler<CloseNow> for UserRepository {
    type Result = ();

    fn handle(&mut self, CloseNow(ask): CloseNow, context: &mut Self::Context) {
        if self.is_lent {
            return context.notify(CloseNow(ask));
        }
        let Some(writer) = self.writer.take() else {
            context.stop();
            return ask.answer(|Close| ());
        };
        context.wait(writer.close().into_actor(self).map(|closed, _, context| {
            if let Err(error) = closed {
                tracing::error!(
                    error = &error as &dyn Error,
                    "the database was not closed cleanly"
                );
            }
            context.stop();
            ask.answer(|Close| ());
        }));
    }
}

/// Sent to itself: check again whether there is space on the disk. A service that is not ready gets
/// no writes, and would never find out without this check.
#[derive(Message)]
#[rtype(result = "()")]
struct TryWriting;

impl Handler<TryWriting> for UserRepository {
    type Result = ();

    fn handle(&mut self, _: TryWriting, context: &mut Self::Context) {
        if self.writable.is_writable() {
            return;
        }
        if self.writer.is_none() && !self.is_lent {
            return self.open_again(context);
        }
        self.with_writer(
            context,
            async |writer| writer.probe().await,
            |repository, written, context| match written {
                Ok(()) => repository.writable.works(),
                Err(_) => {
                    context.notify_later(TryWriting, RETRY_INTERVAL);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests;
