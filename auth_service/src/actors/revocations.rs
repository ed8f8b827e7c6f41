//! **Owns** the revoked tokens: `tokens.db`, on a separate thread, and the view of it that every HTTP
//! worker reads.
//!
//! **Promises** that a revocation is on the disk before it is answered, that the view has it by
//! then, and that it is kept until the tokens concerned have expired. If `tokens.db` itself is lost,
//! its generation goes with it, and so does the signing key that is named after it: a lost list of
//! dead tokens never makes one of them live again.
//!
//! **When full** refuses: 503 with `Retry-After`. Commands that arrive during a commit are
//! committed together. While the disk is full, even at the start, it refuses with 507, and tries
//! again with each command; the view works on.
//!
//! **When it dies**: a command that panics fails alone. A restart loads the view from the database.

mod stored_responses;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix::{Actor, ActorContext, ArbiterHandle, AsyncContext, Context, Handler, Message};
use contract::UserId;
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::clock::Clock;
use shared::full_disk::{Writable, check_room};
use shared::idempotency::IdempotentRequest;
use shared::tokens::RevokedView;

pub use self::stored_responses::{FindOutcome, RememberLogin};
use crate::metrics::RevocationMetrics;
use crate::store::{RevokeRefused, StoreError, TokenStore};

/// Commands that may wait for the next commit.
const MAILBOX: usize = 1024;
/// How much longer than a token's life a user's revocation is kept: a login that was in progress
/// when the password changed signs its (dead) token later by the time it waited.
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

/// "Delete a chunk of the revocations and stored responses that have expired." Answers whether there
/// are more.
#[derive(Clone, Copy)]
pub struct PruneExpired;

impl Command for PruneExpired {
    type Reply = Result<bool, StoreError>;
}

/// "Commit what waits, close the database, and stop": answers when that is done.
pub struct CloseRevocations;

impl Command for CloseRevocations {
    type Reply = ();
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

/// The owner of the revoked tokens.
pub struct Revocations {
    /// The only one that writes to `tokens.db`, and to the view after each commit.
    store: TokenStore,
    /// Read by the HTTP workers.
    view: RevokedView,
    clock: Clock,
    times: TokenTimes,
    /// Whether the last write found space on the disk; `/readyz` reads it.
    writable: Writable,
    /// Where the database is.
    directory: PathBuf,
    metrics: RevocationMetrics,
}

impl Revocations {
    /// Opens the database, or creates it, and loads the view. If the disk is full, the database is
    /// opened by the first write that finds space.
    ///
    /// # Errors
    /// It cannot be used; or the disk is full, and it cannot even be read.
    pub fn open(
        path: PathBuf,
        clock: Clock,
        times: TokenTimes,
        metrics: RevocationMetrics,
    ) -> Result<Self, StoreError> {
        let view = RevokedView::default();
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new(".")).to_owned();
        let store = TokenStore::open(path, view.clone())?;
        metrics.set(view.len());
        let writable = Writable::new("the list of revoked tokens");
        Ok(Self { store, view, clock, times, writable, directory, metrics })
    }

    /// What the HTTP workers read.
    pub fn view(&self) -> RevokedView {
        self.view.clone()
    }

    /// Ends the tokens of users at once, before their revocation is on the disk.
    pub fn in_memory(&self) -> RevokeInMemory {
        RevokeInMemory { view: self.view.clone(), clock: self.clock.clone(), times: self.times }
    }

    /// Whether the last write found space on the disk.
    pub fn is_writable(&self) -> Arc<AtomicBool> {
        self.writable.watch()
    }

    /// Names the signing key that this list of dead tokens belongs to.
    pub fn generation(&self) -> Result<String, StoreError> {
        self.store.find_generation()
    }

    /// Makes a new name: the tokens of the old key are dead.
    pub fn renew_generation(&mut self) -> Result<String, StoreError> {
        self.store.renew_generation()
    }

    /// Starts the actor on this thread, which it may block.
    pub fn launch(self, thread: &ArbiterHandle, health: &Health) -> Mailbox<Self> {
        Mailbox::start_on(thread, health, MAILBOX, |_| self)
    }

    /// The first of a group sees to its commit: `notify` comes after what is in the mailbox.
    fn before_push(&self, context: &mut Context<Self>) {
        if self.store.is_idle() {
            context.notify(CommitGroup);
        }
    }

    fn commit(&mut self) {
        if self.store.is_idle() {
            return;
        }
        let committed = self.store.commit();
        match committed {
            Ok(true) => self.writable.works(),
            Ok(false) => {}
            Err(full @ StoreError::Full(_)) => {
                self.writable.refused(&full);
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "revocations were not stored");
            }
        }
        self.metrics.set(self.view.len());
    }

    fn prune(&mut self) -> Result<bool, StoreError> {
        let pruned = self.store.prune(self.clock.unix_ms());
        match &pruned {
            // It may have written less than the next revocation needs.
            Ok(_) if check_room(&self.directory).is_ok() => self.writable.works(),
            Err(full @ StoreError::Full(_)) => {
                self.writable.refused(full);
            }
            _ => {}
        }
        self.metrics.set(self.view.len());
        pruned
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct CommitGroup;

impl Actor for Revocations {
    type Context = Context<Self>;
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
        self.store.revoke_token(reply, (jti, until_s), request, self.clock.unix_ms());
    }
}

impl Handler<Ask<RevokeUsers>> for Revocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<RevokeUsers>, context: &mut Self::Context) {
        self.before_push(context);
        let (RevokeUsers(users), reply) = ask.into_parts();
        let until_s = self.times.all_expired_s(self.clock.unix_s());
        self.store.revoke_users(reply, users, until_s);
    }
}

impl Handler<Ask<PruneExpired>> for Revocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<PruneExpired>, _: &mut Self::Context) {
        ask.answer(|PruneExpired| self.prune());
    }
}

impl Handler<Ask<CloseRevocations>> for Revocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<CloseRevocations>, context: &mut Self::Context) {
        self.commit();
        if let Err(error) = self.store.close() {
            let error = &error as &dyn Error;
            tracing::error!(error, "the list of revoked tokens was not closed cleanly");
        }
        context.stop();
        ask.answer(|CloseRevocations| ());
    }
}
