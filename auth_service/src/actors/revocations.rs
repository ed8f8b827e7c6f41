//! **Owns** the revoked sessions: `tokens.db`, on a separate thread, and the view of it that every HTTP
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
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix::{Actor, ActorContext, ArbiterHandle, AsyncContext, Context, Handler, Message};
use contract::Claims;
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::clock::{Clock, MonotonicClock};
use shared::full_disk::{Writable, check_room};
use shared::idempotency::IdempotentRequest;
use shared::regular_file::directory_of;
use shared::tokens::RevokedSessions;

pub use self::stored_responses::{FindOutcome, RememberLogin};
use crate::metrics::RevocationMetrics;
use crate::store::{Now, RevokeRefused, RevokedSession, StoreError, TokenStore};

/// Commands that may wait for the next commit.
const MAILBOX: usize = 1024;

/// "This session is logged out: its tokens are dead."
pub struct RevokeSession {
    /// Its name.
    pub sid: String,
    /// The `exp` of the token at hand.
    pub exp_s: i64,
    /// How long that token lives.
    pub lifetime_s: i64,
    /// The request, if the client wants to be able to repeat it.
    pub request: Option<IdempotentRequest>,
}

impl RevokeSession {
    /// Ends the session of a token with these claims.
    pub fn of(claims: &Claims, request: Option<IdempotentRequest>) -> Self {
        Self {
            sid: claims.sid.clone(),
            exp_s: claims.exp,
            lifetime_s: claims.exp.saturating_sub(claims.iat),
            request,
        }
    }
}

impl Command for RevokeSession {
    type Reply = Result<(), RevokeRefused>;
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

/// The clocks by which revocations are kept.
#[derive(Clone, Debug)]
pub struct Clocks {
    /// The wall clock.
    pub wall: Clock,
    /// The one that nobody sets.
    pub monotonic: MonotonicClock,
    /// By how many seconds verifiers let wall clocks differ.
    pub leeway_s: i64,
}

impl Clocks {
    fn now(&self) -> Now {
        Now { wall_ms: self.wall.unix_ms(), monotonic_us: self.monotonic.now_us() }
    }
}

/// The owner of the revoked sessions.
pub struct Revocations {
    /// The only one that writes to `tokens.db`, and to the view after each commit.
    store: TokenStore,
    /// Read by the HTTP workers.
    view: RevokedSessions,
    clocks: Clocks,
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
        clocks: Clocks,
        metrics: RevocationMetrics,
    ) -> Result<Self, StoreError> {
        let view = RevokedSessions::default();
        let directory = directory_of(&path).to_owned();
        let store = TokenStore::open(path, view.clone(), clocks.now())?;
        metrics.set(view.len());
        let writable = Writable::new("the list of revoked sessions");
        Ok(Self { store, view, clocks, writable, directory, metrics })
    }

    /// What the HTTP workers read.
    pub fn view(&self) -> RevokedSessions {
        self.view.clone()
    }

    /// Whether the last write found space on the disk.
    pub fn is_writable(&self) -> Arc<AtomicBool> {
        self.writable.watch()
    }

    /// Names the signing key that this list of revoked sessions belongs to.
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
        let pruned = self.store.prune(self.clocks.now());
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

impl Handler<Ask<RevokeSession>> for Revocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<RevokeSession>, context: &mut Self::Context) {
        self.before_push(context);
        let (RevokeSession { sid, exp_s, lifetime_s, request }, reply) = ask.into_parts();
        let until_s = exp_s.saturating_add(self.clocks.leeway_s);
        let session = RevokedSession { sid: sid.into(), until_s, lifetime_s };
        self.store.revoke_session(reply, session, request, self.clocks.now());
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
            tracing::error!(error, "the list of revoked sessions was not closed cleanly");
        }
        context.stop();
        ask.answer(|CloseRevocations| ());
    }
}
