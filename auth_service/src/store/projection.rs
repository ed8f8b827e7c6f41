//! The projection of user_service's log: its one writer, and a reader for each HTTP worker.

use std::path::PathBuf;

use contract::{Cursor, Position, SealedHash, SnapshotUser, UserId, UsersChecksum};
use shared::log_sync::NextChange;
use shared::sqlite::{Durability, ReadConnection, WriteConnection};
use shared::store_error::Damage;

use super::StoreError;
use super::sqlite::{hashes, migrations, projection, staging, totals};
use crate::domain::{Credential, Lot, Profile};

/// Why records were not applied. None of them was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A record that comes next cannot be applied: the projection has diverged, or user_service
    /// writes what this version does not understand.
    #[error("record {seq} cannot be applied: {reason}")]
    Unappliable {
        /// Which record.
        seq: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The database failed; the records may be good.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A user of a snapshot who was left out.
#[derive(Debug)]
pub struct Refused {
    /// The user.
    pub user: SnapshotUser,
    /// What is wrong with them.
    pub reason: String,
}

/// A stored hash, and which password of which user it is of.
#[derive(Clone, Debug)]
pub struct StoredHash {
    /// The user.
    pub user: UserId,
    /// The password's version.
    pub password_version: i64,
    /// The hash.
    pub sealed: SealedHash,
}

/// Owns the only connection that writes to the projection. While the disk is full, what is there
/// can still be read.
pub struct ProjectionStore {
    connection: WriteConnection,
}

impl ProjectionStore {
    /// Opens the database, or creates it, and migrates its schema. If the disk is full, that is
    /// done by the first write that finds space.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(path: PathBuf) -> Result<Self, StoreError> {
        // Normal: whatever a power cut takes comes again, because the cursor goes with it. What ends
        // tokens must not come back even for a moment, so it is synced.
        let connection = WriteConnection::open(path, Durability::Normal, migrations::projection)?;
        Ok(Self { connection })
    }

    /// The stored cursor; none before the first answer of user_service.
    ///
    /// # Errors
    /// The database failed, or holds what is no cursor.
    pub fn find_cursor(&self) -> Result<Option<Cursor>, StoreError> {
        self.connection.read(projection::find_cursor)
    }

    /// The checksum over all users at the cursor.
    pub fn find_checksum(&self) -> Result<UsersChecksum, StoreError> {
        self.connection.read(projection::find_checksum)
    }

    /// The highest id that a user has ever had here; none before the first.
    pub fn find_highest_id(&self) -> Result<Option<UserId>, StoreError> {
        self.connection.read(projection::find_highest_id)
    }

    /// How many stored hashes were sealed with which key (see [`contract::SealedHash::sealed_with`]).
    pub fn find_hash_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.connection.read(totals::find_hash_counts)
    }

    /// The hashes of at most `max` users after this one, by id.
    pub fn find_hashes(&self, after: UserId, max: u32) -> Result<Vec<StoredHash>, StoreError> {
        self.connection.read(|connection| hashes::find(connection, after, max))
    }

    /// Stores these hashes in one transaction, each in the place of that of the same password.
    pub fn replace_hashes(&mut self, hashes: &[StoredHash]) -> Result<(), StoreError> {
        hashes::replace(self.connection.get()?, hashes)
    }

    /// Applies the changes in their order, and the cursor behind them, in one transaction. There
    /// may be no changes: then a new incarnation vouches for the place. Answers with the checksum
    /// over all users then.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply(
        &mut self,
        changes: &[NextChange],
        cursor: &Cursor,
    ) -> Result<UsersChecksum, ApplyError> {
        let durability =
            if changes.iter().any(ends_tokens) { Durability::Full } else { Durability::Normal };
        projection::apply(self.connection.get_with(durability)?, changes, cursor)
    }

    /// Stages a part of a snapshot; the first part deletes what was staged before. Answers with the
    /// users who were left out: one whom this version cannot store must not keep all others out.
    pub fn stage(
        &mut self,
        part: u32,
        users: Vec<SnapshotUser>,
    ) -> Result<Vec<Refused>, StoreError> {
        staging::stage(self.connection.get()?, part, users)
    }

    /// Puts the staged users in the projection's place, with the snapshot's cursor, in one
    /// transaction. Answers with the checksum over all users then.
    pub fn swap_in(&mut self, cursor: &Cursor) -> Result<UsersChecksum, StoreError> {
        staging::swap_in(self.connection.get_with(Durability::Full)?, cursor)
    }

    /// Closes the database after all readers: then everything is in its main file.
    ///
    /// # Errors
    /// Something is not there. Nothing is lost: the next start finds it beside the main file.
    pub fn close(&mut self) -> Result<(), StoreError> {
        self.connection.close()
    }
}

/// Whether tokens die when the change is applied: the user is gone, or has another password, or the
/// log went back.
fn ends_tokens(next: &NextChange) -> bool {
    let state = next.data.user().and_then(|change| change.user.as_ref());
    state.is_none_or(|state| state.stamp.is_none() && state.password_version > 1)
}

/// Reads the projection. Each belongs to one thread, and sees what was committed when it was asked.
pub struct ProjectionReader {
    connection: ReadConnection,
}

impl ProjectionReader {
    /// The connection is opened with the first question. `damage` will show what it finds.
    pub fn new(path: PathBuf, damage: Damage) -> Self {
        Self { connection: ReadConnection::new(path, damage) }
    }

    /// The user with this name, compared by its key.
    pub fn find_credential(&self, username_key: &str) -> Result<Option<Credential>, StoreError> {
        self.connection.with(|connection| projection::find_credential(connection, username_key))
    }

    /// The security stamp of the user with this id.
    pub fn find_stamp(&self, user: UserId) -> Result<Option<Position>, StoreError> {
        self.connection.with(|connection| projection::find_stamp(connection, user))
    }

    /// What a token of the user with this id says of them.
    pub fn find_profile(&self, user: UserId) -> Result<Option<Profile>, StoreError> {
        self.connection.with(|connection| projection::find_profile(connection, user))
    }

    /// The user on whom the lot falls, or the next one who is there; none if there are no users.
    pub fn find_stand_in(&self, lot: Lot) -> Result<Option<Credential>, StoreError> {
        self.connection.with(|connection| projection::find_stand_in(connection, lot))
    }
}
