//! SQLite as both services use it: one writing connection with group commit, and read-only
//! connections beside it.

use std::sync::Arc;

mod group_commit;
pub mod idempotency;
mod open;

pub use group_commit::{Committed, GroupCommit, in_savepoint};
pub use open::{
    Durability, OpenError, ReadPool, Reader, checkpoint, close_writer, map_into_memory,
    open_reader, open_readers, open_writer,
};

/// A failure of the database. The requested operation was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk, or the file cannot be written.
    #[error("the database cannot be written")]
    Full(#[source] Arc<rusqlite::Error>),
    /// Anything else.
    #[error("the database failed")]
    Failed(#[source] Arc<rusqlite::Error>),
}

impl From<rusqlite::Error> for StoreError {
    /// Classifies the error by what the client should be told.
    fn from(error: rusqlite::Error) -> Self {
        if is_full_disk(&error) {
            Self::Full(Arc::new(error))
        } else {
            Self::Failed(Arc::new(error))
        }
    }
}

/// Whether SQLite cannot write now: the disk is full, read-only or unreachable.
fn is_full_disk(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, ReadOnly, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(DiskFull | SystemIoFailure | CannotOpen | ReadOnly))
}

/// Whether a statement failed because a unique column already has the value.
pub fn is_unique_violation(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(failure, _)
        if failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
        || failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}
