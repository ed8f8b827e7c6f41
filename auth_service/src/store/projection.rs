//! The projection of user_service's log: its one writer, and a reader for each HTTP worker.

use std::path::Path;

use contract::{Cursor, SnapshotUser, UserId, UsersChecksum};
use rusqlite::Connection;
use shared::log_sync::NextChange;
use shared::sqlite::{Durability, open_reader, open_writer};

use super::StoreError;
use super::sqlite::{migrations, projection, staging};
use crate::domain::Credential;

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

/// A user who has to stay outside.
#[derive(Debug)]
pub struct Refused {
    /// The user.
    pub user: SnapshotUser,
    /// What is wrong with them.
    pub reason: String,
}

/// Owns the only connection that writes to the projection.
pub struct ProjectionStore {
    connection: Connection,
}

impl ProjectionStore {
    /// Opens the database, or makes it, and brings its tables up to date.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // Normal: whatever a power cut takes comes again, because the cursor goes with it.
        let connection = open_writer(path, Durability::Normal, &migrations::projection())?;
        Ok(Self { connection })
    }

    /// The stored cursor; none before the first answer of user_service.
    ///
    /// # Errors
    /// The database failed, or holds what is no cursor.
    pub fn find_cursor(&self) -> Result<Option<Cursor>, StoreError> {
        projection::find_cursor(&self.connection)
    }

    /// The checksum over all users at the cursor.
    ///
    /// # Errors
    /// The database failed.
    pub fn find_checksum(&self) -> Result<UsersChecksum, StoreError> {
        projection::find_checksum(&self.connection)
    }

    /// Shows each stored hash.
    ///
    /// # Errors
    /// The database failed.
    pub fn for_each_sealed_hash(&self, look: impl FnMut(&str)) -> Result<(), StoreError> {
        projection::for_each_sealed_hash(&self.connection, look)
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
        projection::apply(&mut self.connection, changes, cursor)
    }

    /// Loads a part of a snapshot aside; the first part empties what was there. Answers with the
    /// users who were left out: one whom this version cannot store must not keep all others out.
    ///
    /// # Errors
    /// The database failed.
    pub fn stage(
        &mut self,
        part: u32,
        users: Vec<SnapshotUser>,
    ) -> Result<Vec<Refused>, StoreError> {
        staging::stage(&mut self.connection, part, users)
    }

    /// The users whose tokens must die when the staged snapshot comes in, each with the oldest
    /// password version whose tokens live on.
    ///
    /// # Errors
    /// The database failed.
    pub fn find_superseded(&self) -> Result<Vec<(UserId, i64)>, StoreError> {
        staging::find_superseded(&self.connection)
    }

    /// Puts the staged users in the projection's place, with the snapshot's cursor, in one
    /// transaction. Answers with the checksum over all users then.
    ///
    /// # Errors
    /// The database failed.
    pub fn swap_in(&mut self, cursor: &Cursor) -> Result<UsersChecksum, StoreError> {
        staging::swap_in(&mut self.connection, cursor)
    }
}

/// Reads the projection. Each belongs to one thread, and sees what was committed when it was asked.
pub struct ProjectionReader {
    connection: Connection,
}

impl ProjectionReader {
    /// Opens a read-only connection.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: open_reader(path)? })
    }

    /// The user with this name, compared by its key.
    ///
    /// # Errors
    /// The database failed.
    pub fn find_credential(&self, username_key: &str) -> Result<Option<Credential>, StoreError> {
        projection::find_credential(&self.connection, username_key)
    }
}
