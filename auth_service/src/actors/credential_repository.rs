//! **Owns** the projection and its cursor, in one database, on a thread of its own.
//!
//! **Promises** that records and the cursor behind them are written in one transaction, and that
//! the cursor which it publishes is stored.
//!
//! **When full**: it is asked by the one consumer alone, who waits for each answer.
//!
//! **When it dies**: a command that panics fails alone and is undone; the consumer goes back to
//! the stored cursor. The database can be had again from the log of user_service.

use std::path::Path;
use std::sync::Arc;

use actix::{Actor, ArbiterHandle, Context, Handler};
use contract::{Cursor, SealedHash, SentRecord, SnapshotUser, UserId, UsersChecksum};
use rusqlite::Connection;
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::secrets::SealingKeys;
use shared::sqlite::{Durability, OpenError, StoreError, open_writer};
use tokio::sync::watch;

use crate::store::projection::{self, ApplyError};
use crate::store::staging::{self, Refused};

/// Commands that may wait: the consumer sends one and waits for its answer.
const MAILBOX: usize = 16;

/// "Write these records' changes and the cursor behind them."
pub struct ApplyEvents {
    /// Those that come next after the stored cursor; may be none.
    pub records: Arc<[SentRecord]>,
    /// The place behind them.
    pub cursor: Cursor,
}

impl Command for ApplyEvents {
    type Reply = Result<(), ApplyError>;
}

/// "Load this part of a snapshot aside." Answers with the users who were left out.
pub struct StageSnapshotPart {
    /// Counts from 1; the first empties what lay there.
    pub part: u32,
    /// The part's users.
    pub users: Vec<SnapshotUser>,
}

impl Command for StageSnapshotPart {
    type Reply = Result<Vec<Refused>, StoreError>;
}

/// "Whose tokens must die when the staged snapshot comes in?" Answers with each user's oldest
/// password version whose tokens live on.
pub struct FindSuperseded;

impl Command for FindSuperseded {
    type Reply = Result<Vec<(UserId, i64)>, StoreError>;
}

/// "Put the staged snapshot in the projection's place."
pub struct SwapIn {
    /// The snapshot's place in the log.
    pub cursor: Cursor,
}

impl Command for SwapIn {
    type Reply = Result<(), StoreError>;
}

/// How far the projection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The stored cursor; none before the first answer of user_service.
    pub cursor: Option<Cursor>,
    /// The checksum over all users there.
    pub checksum: UsersChecksum,
    /// The last sealed hash that was applied names another key than ours.
    pub has_foreign_seal: bool,
}

impl Applied {
    /// The last record's number, 0 before the first.
    pub fn seq(&self) -> i64 {
        self.cursor.map_or(0, |cursor| cursor.position.seq)
    }
}

/// The writer of the projection.
pub struct CredentialRepository {
    /// The only one that writes to `projection.db`.
    connection: Connection,
    /// Tells whether hashes are sealed with our key.
    sealing_key: Arc<SealingKeys>,
    /// Read by the waiting logins, the readiness probe and the consumer.
    applied: watch::Sender<Applied>,
}

impl CredentialRepository {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(path: &Path, sealing_key: Arc<SealingKeys>) -> Result<Self, RepositoryError> {
        // Normal: whatever a power cut takes comes again, because the cursor goes with it.
        let connection = open_writer(path, Durability::Normal, &projection::migrations())?;
        let applied = watch::Sender::new(Applied::default());
        let repository = Self { connection, sealing_key, applied };
        let youngest = projection::find_youngest_sealed_hash(&repository.connection)?;
        let cursor = projection::find_cursor(&repository.connection)?;
        let has_foreign_seal = youngest.is_some_and(|sealed| !repository.is_ours(&sealed));
        let checksum = projection::find_checksum(&repository.connection)?;
        repository.applied.send_replace(Applied { cursor, checksum, has_foreign_seal });
        Ok(repository)
    }

    /// How far the projection is, now and later.
    pub fn applied(&self) -> watch::Receiver<Applied> {
        self.applied.subscribe()
    }

    /// Starts the actor on this thread, which it may block.
    pub fn launch(self, thread: &ArbiterHandle, health: &Health) -> Mailbox<Self> {
        Mailbox::start_on(thread, health, MAILBOX, |_| self)
    }

    fn is_ours(&self, sealed: &SealedHash) -> bool {
        self.sealing_key.is_key_of(sealed)
    }

    /// Called after each commit and before its answer.
    fn publish(&self, cursor: Cursor, checksum: UsersChecksum, last_sealed: Option<&SealedHash>) {
        self.applied.send_modify(|applied| {
            (applied.cursor, applied.checksum) = (Some(cursor), checksum);
            if let Some(sealed) = last_sealed {
                applied.has_foreign_seal = !self.is_ours(sealed);
            }
        });
    }

    fn apply(&mut self, ApplyEvents { records, cursor }: &ApplyEvents) -> Result<(), ApplyError> {
        let checksum = projection::apply(&mut self.connection, records, cursor)?;
        let sealed = records.iter().rev().find_map(|sent| sent.sealed_hash.as_ref());
        self.publish(*cursor, checksum, sealed);
        Ok(())
    }

    fn swap_in(&mut self, cursor: Cursor) -> Result<(), StoreError> {
        let checksum = staging::swap_in(&mut self.connection, &cursor)?;
        let sealed = projection::find_youngest_sealed_hash(&self.connection)?;
        self.publish(cursor, checksum, sealed.as_ref());
        Ok(())
    }
}

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// Opening it failed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Reading it failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Actor for CredentialRepository {
    type Context = Context<Self>;
}

impl Handler<Ask<ApplyEvents>> for CredentialRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<ApplyEvents>, _: &mut Self::Context) {
        ask.answer(|command| self.apply(&command));
    }
}

impl Handler<Ask<StageSnapshotPart>> for CredentialRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<StageSnapshotPart>, _: &mut Self::Context) {
        ask.answer(|StageSnapshotPart { part, users }| {
            staging::stage(&mut self.connection, part, users)
        });
    }
}

impl Handler<Ask<FindSuperseded>> for CredentialRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<FindSuperseded>, _: &mut Self::Context) {
        ask.answer(|FindSuperseded| staging::find_superseded(&self.connection));
    }
}

impl Handler<Ask<SwapIn>> for CredentialRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<SwapIn>, _: &mut Self::Context) {
        ask.answer(|SwapIn { cursor }| self.swap_in(cursor));
    }
}
