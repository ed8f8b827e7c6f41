//! **Owns** the projection and its cursor, in one database, on a separate thread.
//!
//! **Promises** that records and the cursor behind them are written in one transaction, and that
//! the cursor which it publishes is stored.
//!
//! **When full**: it is asked by the one consumer alone, who waits for each answer.
//!
//! **When it dies**: a command that panics fails alone and is undone; the consumer goes back to
//! the stored cursor. The database can be rebuilt from the log of user_service.

mod resealing;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use actix::{Actor, ActorContext, ArbiterHandle, Context, Handler};
use contract::{Cursor, SnapshotUser, UserId, UsersChecksum};
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::log_sync::NextChange;
use shared::secrets::{SealingKeys, UnsealError};
use tokio::sync::watch;

pub use self::resealing::ResealHashes;
use super::applied::{Applied, Hashes, Standing};
use crate::store::{ApplyError, ProjectionStore, Refused, StoreError};

/// Commands that may wait: the consumer sends one and waits for its answer.
const MAILBOX: usize = 16;

/// "Write these changes and the cursor behind them."
pub struct ApplyEvents {
    /// Those that come next after the stored cursor; may be none.
    pub changes: Vec<NextChange>,
    /// The place behind them.
    pub cursor: Cursor,
}

impl Command for ApplyEvents {
    type Reply = Result<(), ApplyError>;
}

/// "Store this part of a snapshot beside the projection." Answers with the users who were left out.
pub struct StageSnapshotPart {
    /// Counts from 1; the first part deletes what was staged before.
    pub part: u32,
    /// The part's users.
    pub users: Vec<SnapshotUser>,
}

impl Command for StageSnapshotPart {
    type Reply = Result<Vec<Refused>, StoreError>;
}

/// "Replace the projection with the staged snapshot."
pub struct SwapIn {
    /// The snapshot's place in the log.
    pub cursor: Cursor,
    /// If users were left out of it: the checksum over all users, with them.
    pub checksum_with_left_out: Option<UsersChecksum>,
}

impl Command for SwapIn {
    type Reply = Result<(), StoreError>;
}

/// "Close the database, and stop": answers when that is done.
pub struct CloseProjection;

impl Command for CloseProjection {
    type Reply = ();
}

/// The writer of the projection.
pub struct CredentialRepository {
    /// The only one that writes to `projection.db`.
    store: ProjectionStore,
    /// Tells whether hashes are sealed with our keys, and seals them anew.
    sealing_key: Arc<SealingKeys>,
    /// How far the hashes are looked through for those that are not sealed with the first key.
    resealed_to: UserId,
    /// Read by the waiting logins, the readiness probe and the consumer.
    applied: watch::Sender<Applied>,
}

impl CredentialRepository {
    /// Opens the database, or creates it. If the disk is full, that is done by the first write that
    /// finds space.
    ///
    /// # Errors
    /// It cannot be used; or the disk is full, and it cannot even be read.
    pub fn open(path: PathBuf, sealing_key: Arc<SealingKeys>) -> Result<Self, StoreError> {
        let store = ProjectionStore::open(path)?;
        let applied = watch::Sender::new(Applied::default());
        let repository = Self { store, sealing_key, resealed_to: UserId(0), applied };
        let cursor = repository.store.find_cursor()?;
        let checksum = repository.store.find_checksum()?;
        let (highest_id, hashes) =
            (repository.store.find_highest_id()?, repository.count_hashes()?);
        repository.applied.send_replace(Applied::opened(cursor, checksum, highest_id, hashes));
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

    fn recount(&mut self) -> Result<(), StoreError> {
        let hashes = self.count_hashes()?;
        let is_known = {
            let known = &self.applied.borrow().hashes;
            hashes.unopenable() == 0
                || (known.unopenable() > 0 && known.missing_key() == hashes.missing_key())
        };
        if !is_known {
            tracing::warn!(
                count = hashes.unopenable(),
                missing_key = hashes.missing_key(),
                "hashes that cannot be opened: asking user_service to send them again"
            );
        }
        self.applied.send_if_modified(|applied| {
            let is_news = applied.hashes != hashes;
            applied.hashes = hashes;
            is_news
        });
        Ok(())
    }

    fn count_hashes(&self) -> Result<Hashes, StoreError> {
        let mut hashes = Hashes::default();
        for (sealed_with, count) in self.store.find_hash_counts()? {
            let standing = match self.sealing_key.can_open(&sealed_with) {
                Ok(()) if sealed_with == self.sealing_key.seals_with() => Standing::First,
                Ok(()) => Standing::Other,
                Err(UnsealError::UnknownKey { .. }) => Standing::Missing,
                Err(UnsealError::FormerForm | UnsealError::NotGenuine) => Standing::Unreadable,
            };
            let (_, key) = sealed_with.split_once('.').unwrap_or_default();
            hashes.add(key, standing, count);
        }
        Ok(hashes)
    }

    /// Everybody is told after the commit and before its answer.
    fn apply(&mut self, ApplyEvents { changes, cursor }: &ApplyEvents) -> Result<(), ApplyError> {
        let checksum = self.store.apply(changes, cursor)?;
        let highest_id = self.store.find_highest_id()?;
        let positions = changes.iter().map(|next| next.position);
        self.applied.send_modify(|applied| {
            applied.advance(positions, *cursor, checksum);
            applied.highest_id = highest_id;
        });
        Ok(self.recount()?)
    }

    fn swap_in(
        &mut self,
        SwapIn { cursor, checksum_with_left_out }: SwapIn,
    ) -> Result<(), StoreError> {
        let checksum = self.store.swap_in(&cursor)?;
        let highest_id = self.store.find_highest_id()?;
        let left_out = checksum_with_left_out.map(|with| with.minus(checksum)).unwrap_or_default();
        self.applied.send_modify(|applied| {
            applied.replace(cursor, checksum, left_out);
            applied.highest_id = highest_id;
        });
        self.recount()
    }
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
        ask.answer(|StageSnapshotPart { part, users }| self.store.stage(part, users));
    }
}

impl Handler<Ask<SwapIn>> for CredentialRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<SwapIn>, _: &mut Self::Context) {
        ask.answer(|command| self.swap_in(command));
    }
}

impl Handler<Ask<CloseProjection>> for CredentialRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<CloseProjection>, context: &mut Self::Context) {
        if let Err(error) = self.store.close() {
            let error = &error as &dyn Error;
            tracing::error!(error, "the projection was not closed cleanly");
        }
        context.stop();
        ask.answer(|CloseProjection| ());
    }
}
