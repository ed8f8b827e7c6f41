//! **Owns** the dead tokens: `tokens.db`, on a thread of its own, and the view of it that every
//! HTTP worker reads.
//!
//! **Promises** that a revocation is on the disk before it is answered, that the view has it by
//! then, and that it is kept until the tokens concerned have expired. If `tokens.db` itself is lost,
//! its generation goes with it, and so does the signing key that is named after it: a lost list of
//! dead tokens never makes one of them live again.
//!
//! **When full** refuses: 503 with `Retry-After`. Commands that arrive during a commit are
//! committed together.
//!
//! **When it dies**: a command that panics fails alone. After a restart the view is loaded anew.
//!
//! Here the exchange of revocations between replicas will have its place (`ApplyRemote`, digests),
//! with the issue on tokens.

mod first_answers;

use std::path::Path;
use std::time::Duration;

use actix::{Actor, ArbiterHandle, AsyncContext, Context, Handler, Message};
use contract::UserId;
use rusqlite::Connection;
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::clock::Clock;
use shared::idempotency::IdempotentRequest;
use shared::sqlite::idempotency::{self, Lookup};
use shared::sqlite::{Durability, GroupCommit, OpenError, StoreError, open_writer};
use shared::tokens::RevokedView;

pub use self::first_answers::{FindOutcome, RememberLogin};
use crate::metrics::RevocationMetrics;
use crate::store::tokens;

/// Commands that may wait for the next commit.
const MAILBOX: usize = 1024;
/// How often expired revocations are forgotten.
const PURGE_INTERVAL: Duration = Duration::from_mins(1);
/// How many expired responses go at once: more than a busy minute leaves.
const RESPONSES_PER_PURGE: u32 = 10_000;
/// How much longer than a token's life a user's revocation is kept: a login that was in hand when
/// the password changed signs its (dead) token later by the time it waited.
const LATE_LOGIN_S: i64 = 600;

/// "This token is dead."
pub struct RevokeToken {
    /// Its name.
    pub jti: String,
    /// Its `exp`.
    pub exp_s: i64,
    /// The request, if the client wants to be able to repeat it.
    pub request: Option<IdempotentRequest>,
}

impl Command for RevokeToken {
    type Reply = Result<(), RevokeRefused>;
}

/// "Of these users, the tokens of passwords before this version are dead."
#[derive(Clone)]
pub struct RevokeUsers(pub Vec<(UserId, i64)>);

impl Command for RevokeUsers {
    type Reply = Result<(), StoreError>;
}

/// "Commit what waits."
pub struct FlushRevocations;

impl Command for FlushRevocations {
    type Reply = ();
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum RevokeRefused {
    /// The token has died in the meantime.
    #[error("the token is dead already")]
    AlreadyDead,
    /// Another request came with this key.
    #[error("the idempotency key stands for another request")]
    KeyReused,
    /// What is stored under the key cannot be read.
    #[error("the stored outcome is of no use")]
    Outcome(#[source] serde_json::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The times that revocations depend on, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct TokenTimes {
    /// How long a token lives.
    pub lifetime_s: i64,
    /// By how much verifiers let clocks differ.
    pub leeway_s: i64,
}

impl TokenTimes {
    /// When all tokens that users have at `now_s` have expired.
    fn all_expired_s(self, now_s: i64) -> i64 {
        now_s + self.lifetime_s + self.leeway_s + LATE_LOGIN_S
    }
}

/// Ends tokens in the view alone, whatever the disk says; [`RevokeUsers`] makes it durable.
#[derive(Clone)]
pub struct RevokeInMemory {
    view: RevokedView,
    clock: Clock,
    times: TokenTimes,
}

impl RevokeInMemory {
    /// The user's tokens of passwords before this version are dead.
    pub fn now(&self, user: UserId, min_password_version: i64) {
        let until_s = self.times.all_expired_s(self.clock.unix_s());
        self.view.insert_user(user, min_password_version, until_s);
    }
}

/// The owner of the dead tokens.
pub struct Revocations {
    /// The only one that writes to `tokens.db`.
    connection: Connection,
    /// What the next commit holds.
    group: GroupCommit,
    /// Written here alone, after the commit; read by the HTTP workers.
    view: RevokedView,
    clock: Clock,
    times: TokenTimes,
    metrics: RevocationMetrics,
}

impl Revocations {
    /// Opens the database, or makes it, and loads the view.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(
        path: &Path,
        clock: Clock,
        times: TokenTimes,
        metrics: RevocationMetrics,
    ) -> Result<Self, RevocationsError> {
        let connection = open_writer(path, Durability::Full, &tokens::migrations())?;
        let view = RevokedView::default();
        tokens::load(&connection, &view)?;
        metrics.set(view.len());
        Ok(Self { connection, group: GroupCommit::default(), view, clock, times, metrics })
    }

    /// What the HTTP workers read.
    pub fn view(&self) -> RevokedView {
        self.view.clone()
    }

    /// Ends the tokens of users at once, before it is on the disk.
    pub fn in_memory(&self) -> RevokeInMemory {
        RevokeInMemory { view: self.view.clone(), clock: self.clock.clone(), times: self.times }
    }

    /// Names the signing key that this list of dead tokens belongs to.
    ///
    /// # Errors
    /// The database failed.
    pub fn generation(&self) -> Result<String, StoreError> {
        tokens::find_generation(&self.connection)
    }

    /// Makes a new name: the tokens of the old key are dead.
    ///
    /// # Errors
    /// The database failed.
    pub fn renew_generation(&self) -> Result<String, StoreError> {
        tokens::renew_generation(&self.connection)
    }

    /// Starts the actor on this thread, which it may block.
    pub fn launch(self, thread: &ArbiterHandle, health: &Health) -> Mailbox<Self> {
        Mailbox::start_on(thread, health, MAILBOX, |_| self)
    }

    /// The first of a group sees to its commit: `notify` comes after what is in the mailbox.
    fn before_push(&self, context: &mut Context<Self>) {
        if self.group.is_empty() {
            context.notify(CommitGroup);
        }
    }

    fn commit(&mut self) {
        if self.group.is_empty() {
            return;
        }
        if let Err(error) = self.group.commit(&mut self.connection) {
            tracing::error!(error = &error as &dyn std::error::Error, "revocations are not kept");
        }
        self.metrics.set(self.view.len());
    }

    fn forget_expired(&mut self) {
        let now_s = self.clock.unix_s();
        match tokens::delete_expired(&self.connection, now_s) {
            Ok(()) => {
                self.view.forget_expired(now_s);
                self.metrics.set(self.view.len());
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "expired revocations stay for another while"
            ),
        }
        let pruned =
            idempotency::prune(&self.connection, self.clock.unix_ms(), RESPONSES_PER_PURGE);
        if let Err(error) = pruned {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "expired responses stay for another while");
        }
    }
}

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RevocationsError {
    /// Opening it failed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Reading it failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Message)]
#[rtype(result = "()")]
struct CommitGroup;

impl Actor for Revocations {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(PURGE_INTERVAL, |this, _| this.forget_expired());
    }
}

impl Handler<CommitGroup> for Revocations {
    type Result = ();

    fn handle(&mut self, _: CommitGroup, _: &mut Self::Context) {
        self.commit();
    }
}

impl Handler<Ask<RevokeToken>> for Revocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<RevokeToken>, context: &mut Self::Context) {
        self.before_push(context);
        let (RevokeToken { jti, exp_s, request }, reply) = ask.into_parts();
        let until_s = exp_s.saturating_add(self.times.leeway_s);
        let (now_ms, view, dead) = (self.clock.unix_ms(), self.view.clone(), jti.clone());
        self.group.push_with(
            reply,
            move |connection| revoke_once(connection, &jti, until_s, request.as_ref(), now_ms),
            move |()| view.insert_token(dead, until_s),
        );
    }
}

fn revoke_once(
    connection: &Connection,
    jti: &str,
    until_s: i64,
    request: Option<&IdempotentRequest>,
    now_ms: i64,
) -> Result<(), RevokeRefused> {
    if let Some(request) = request {
        match idempotency::find(connection, request, now_ms)? {
            Lookup::Outcome(_) => return Ok(()),
            Lookup::OtherRequest => return Err(RevokeRefused::KeyReused),
            Lookup::Nothing => idempotency::record(connection, request, "", now_ms)?,
        }
    }
    let is_first = tokens::insert_token(connection, jti, until_s)?;
    if is_first { Ok(()) } else { Err(RevokeRefused::AlreadyDead) }
}

impl Handler<Ask<RevokeUsers>> for Revocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<RevokeUsers>, context: &mut Self::Context) {
        self.before_push(context);
        let (RevokeUsers(users), reply) = ask.into_parts();
        let until_s = self.times.all_expired_s(self.clock.unix_s());
        let (view, dead) = (self.view.clone(), users.clone());
        self.group.push_with(
            reply,
            move |connection| {
                users
                    .iter()
                    .try_for_each(|(id, min)| tokens::insert_user(connection, *id, *min, until_s))
            },
            move |()| dead.into_iter().for_each(|(id, min)| view.insert_user(id, min, until_s)),
        );
    }
}

impl Handler<Ask<FlushRevocations>> for Revocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<FlushRevocations>, _: &mut Self::Context) {
        ask.answer(|FlushRevocations| self.commit());
    }
}
