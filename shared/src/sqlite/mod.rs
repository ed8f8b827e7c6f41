//! SQLite as both services use it: one writing connection, and read-only connections beside it.

use std::error::Error;
use std::sync::Arc;

use rusqlite::{Connection, Transaction};

use crate::store_error::StoreError;

mod database_file;
pub mod idempotency;
mod open;
mod read_connection;
mod write_connection;

pub use database_file::{CopyError, DatabaseFile};
pub use open::{Durability, OpenError, close_writer, open_reader, open_writer};
pub use read_connection::ReadConnection;
pub use write_connection::WriteConnection;

impl From<rusqlite::Error> for StoreError {
    /// Classifies the error by what the client should be told.
    fn from(error: rusqlite::Error) -> Self {
        classified(is_full_disk(&error), error)
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        classified(error.is_full_disk(), error)
    }
}

fn classified(is_full_disk: bool, error: impl Error + Send + Sync + 'static) -> StoreError {
    let source = Arc::new(error);
    if is_full_disk { StoreError::Full(source) } else { StoreError::Failed(source) }
}

/// Whether SQLite cannot write now: the disk is full, read-only or unreachable.
fn is_full_disk(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, ReadOnly, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(DiskFull | SystemIoFailure | CannotOpen | ReadOnly))
}

/// Whether the database is damaged, or its file is something else.
pub(crate) fn is_damaged(error: &StoreError) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let source = error.cause();
    let error = match source.downcast_ref::<OpenError>() {
        Some(open) => open.of_sqlite(),
        None => source.downcast_ref(),
    };
    let code = error.and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(DatabaseCorrupt | NotADatabase))
}

/// Whether a statement failed because a unique column already has the value.
pub fn is_unique_violation(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(failure, _)
        if failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
        || failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}

/// Runs `work` inside the transaction. If it returns `false`, its changes alone are rolled back.
///
/// # Errors
/// The transaction cannot continue.
pub fn in_savepoint(
    transaction: &Transaction<'_>,
    work: impl FnOnce(&Connection) -> bool,
) -> rusqlite::Result<bool> {
    // Cached statements: rusqlite's own savepoints are parsed again for each write.
    let run = |sql| transaction.prepare_cached(sql)?.execute([]);
    run("SAVEPOINT one_write")?;
    let is_kept = work(transaction);
    if !is_kept {
        run("ROLLBACK TO one_write")?;
    }
    run("RELEASE one_write")?;
    Ok(is_kept)
}
