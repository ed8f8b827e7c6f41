//! **Owns** the token set: which sessions have ended, which keys sign, and which are killed. In
//! memory, in `tokens.db`, on a separate thread, and in the view of it that every HTTP worker reads.
//!
//! **Promises** that a record is on the disk before it is answered, that the view has it by then,
//! that `TokenExchange` is told of each record that the bus has not confirmed, and that a record is
//! forgotten as `shared::tokens::token_set` says: never so that a token revives.
//!
//! **When full** refuses: 503 with `Retry-After`. Commands that arrive during a commit are
//! committed together. While the disk is full, even at the start, it refuses with 507, and tries
//! again with each command; the view works on.
//!
//! **When it dies**: a command that panics fails alone. A restart loads the set from the database.

mod exchange;
mod keys;
mod stored_responses;
mod trades;

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix::{Actor, ActorContext, ArbiterHandle, AsyncContext, Context, Handler, Message};
use contract::token_record::{TokenId, TokenLife, TokenRecordId};
use contract::{Gaps, ReplicaId, TokenRecord};
use shared::actors::{Ask, Command, Health, Mailbox, Reply};
use shared::clock::Clock;
use shared::full_disk::{Writable, check_room};
use shared::idempotency::IdempotentRequest;
use shared::regular_file::directory_of;
use shared::tokens::VerifiedToken;
use shared::tokens::key_schedule::OwnKey;
use shared::tokens::token_set::BootTime;
use shared::tokens::token_set_view::TokenSetView;
use tokio::sync::Notify;

pub use self::exchange::{
    AwaitConfirmation, CompareSets, Confirmed, FoundNobody, MergeRecords, ReadHead, ReadParts,
    SeeReplica, TakeUnconfirmed, TrustSetWith,
};
pub use self::keys::{KeepKeys, ListKeys};
pub use self::stored_responses::{FindOutcome, RememberLogin};
pub use self::trades::TradeToken;
use crate::metrics::RevocationMetrics;
use crate::store::{Now, RevokeRefused, StoreError, TokenStore};

/// Commands that may wait for the next commit.
const MAILBOX: usize = 1024;

/// "This session is logged out: its tokens are dead."
pub struct RevokeSession {
    /// Its name.
    pub sid: TokenId,
    /// The token at hand.
    pub ended_with: TokenLife,
    /// The request, if the client wants to be able to repeat it.
    pub request: Option<IdempotentRequest>,
}

impl RevokeSession {
    /// Ends the session of this token.
    pub fn of(token: &VerifiedToken, request: Option<IdempotentRequest>) -> Self {
        let ended_with = TokenLife { kid: token.kid, exp_s: token.claims.exp };
        Self { sid: token.sid, ended_with, request }
    }
}

impl Command for RevokeSession {
    type Reply = Result<(), RevokeRefused>;
}

/// "Forget what was kept long enough." There is never more to do.
#[derive(Clone, Copy)]
pub struct ForgetSessions;

impl Command for ForgetSessions {
    type Reply = Result<bool, StoreError>;
}

/// "Delete a chunk of the stored responses that have expired." Answers whether there are more.
#[derive(Clone, Copy)]
pub struct PruneResponses;

impl Command for PruneResponses {
    type Reply = Result<bool, StoreError>;
}

/// "Commit what waits, close the database, and stop": answers when that is done.
pub struct CloseRevocations;

impl Command for CloseRevocations {
    type Reply = ();
}

/// The owner of the token set.
pub struct TokenRevocations {
    /// The only one that writes to `tokens.db`, and to the view after each commit.
    store: TokenStore,
    clock: Clock,
    /// Whether the last write found space on the disk; `/readyz` reads it.
    writable: Writable,
    /// Where the database is.
    directory: PathBuf,
    /// Notified after each commit, which may have brought records that are to be published.
    committed: Arc<Notify>,
    /// Those who wait until the bus has confirmed a record.
    awaiting: HashMap<TokenRecordId, Vec<Reply<()>>>,
    metrics: RevocationMetrics,
}

impl TokenRevocations {
    /// Opens the database, or creates it, and loads the set. If the disk is full, the database is
    /// opened by the first write that finds space. `boot_id` names this start of the machine.
    ///
    /// # Errors
    /// It cannot be used; or the disk is full, and it cannot even be read.
    pub fn open(
        path: &Path,
        clock: Clock,
        boot_id: [u8; 16],
        metrics: RevocationMetrics,
    ) -> Result<Self, StoreError> {
        let directory = directory_of(path).to_owned();
        let store = TokenStore::open(path, boot_id, BootTime(clock.boot_ms()))?;
        metrics.set(store.view().ended_sessions());
        let writable = Writable::new("the token set");
        let (committed, awaiting) = (Arc::default(), HashMap::new());
        Ok(Self { store, clock, writable, directory, committed, awaiting, metrics })
    }

    /// What the HTTP workers read.
    pub fn view(&self) -> TokenSetView {
        self.store.view()
    }

    /// Notified when there may be records to be published.
    pub fn committed(&self) -> Arc<Notify> {
        Arc::clone(&self.committed)
    }

    /// The name of this replica on the bus.
    pub fn replica(&self) -> ReplicaId {
        self.store.replica()
    }

    /// Whether the set may lack what was known before, and no key has been made since: as at the first
    /// start on a disk.
    pub fn has_new_gap(&self) -> bool {
        matches!(self.store.gaps(), Gaps::AllBut(made_since) if made_since.is_empty())
    }

    /// The other replicas, and when each was heard of last.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn find_replicas(&self) -> Result<Vec<(ReplicaId, BootTime)>, StoreError> {
        self.store.find_replicas()
    }

    /// No other replica is there whose set could fill the gaps of this one.
    pub fn found_nobody(&mut self) {
        self.store.found_nobody();
    }

    /// Whether the last write found space on the disk.
    pub fn is_writable(&self) -> Arc<AtomicBool> {
        self.writable.watch()
    }

    /// The keys of this replica, as they were stored.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn find_own_keys(&self) -> Result<Vec<OwnKey>, StoreError> {
        self.store.find_own_keys(self.now().boot)
    }

    fn now(&self) -> Now {
        Now { wall_ms: self.clock.unix_ms(), boot: BootTime(self.clock.boot_ms()) }
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
        let committed = self.store.commit(self.now().boot);
        self.committed.notify_one();
        self.note(committed.as_ref().map(|is_written| *is_written));
        if let Err(error @ StoreError::Failed(_)) = &committed {
            tracing::error!(error = error as &dyn Error, "the token set was not stored");
        }
    }

    /// Notes whether a write found space.
    fn note(&self, written: Result<bool, &StoreError>) {
        match written {
            Ok(true) => self.writable.works(),
            Err(full @ StoreError::Full(_)) => {
                self.writable.refused(full);
            }
            _ => {}
        }
        self.metrics.set(self.store.view().ended_sessions());
    }

    fn forget(&mut self) -> Result<bool, StoreError> {
        let forgotten = self.store.forget(self.now().boot);
        self.metrics.set_unconfirmed(self.store.count_unconfirmed());
        self.drop_abandoned();
        self.note(forgotten.as_ref().map(|()| false));
        forgotten.map(|()| false)
    }

    fn prune(&mut self) -> Result<bool, StoreError> {
        let pruned = self.store.prune(self.now());
        // It may have written less than the next record needs.
        let has_room = pruned.is_ok() && check_room(&self.directory).is_ok();
        self.note(pruned.as_ref().map(|_| has_room));
        pruned
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct CommitGroup;

impl Actor for TokenRevocations {
    type Context = Context<Self>;
}

impl Handler<CommitGroup> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, _: CommitGroup, _: &mut Self::Context) {
        self.commit();
    }
}

impl Handler<Ask<RevokeSession>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<RevokeSession>, context: &mut Self::Context) {
        self.before_push(context);
        let (RevokeSession { sid, ended_with, request }, reply) = ask.into_parts();
        let record = TokenRecord::SessionRevoked { sid, ended_with };
        self.store.revoke_session(reply, record, request, self.now());
    }
}

impl Handler<Ask<ForgetSessions>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<ForgetSessions>, _: &mut Self::Context) {
        ask.answer(|ForgetSessions| self.forget());
    }
}

impl Handler<Ask<PruneResponses>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<PruneResponses>, _: &mut Self::Context) {
        ask.answer(|PruneResponses| self.prune());
    }
}

impl Handler<Ask<CloseRevocations>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<CloseRevocations>, context: &mut Self::Context) {
        if let Err(error) = self.store.close(self.now().boot) {
            let error = &error as &dyn Error;
            tracing::error!(error, "the token set was not closed cleanly");
        }
        context.stop();
        ask.answer(|CloseRevocations| ());
    }
}
