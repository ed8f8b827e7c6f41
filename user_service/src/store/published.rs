//! The place in the log up to which the bus has confirmed the events.

use rusqlite::Connection;
use shared::sqlite::StoreError;

/// Reads it: 0 before the first event.
///
/// # Errors
/// The database failed.
pub fn read(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT seq FROM published")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Moves it on.
///
/// # Errors
/// The database failed.
pub fn advance(connection: &Connection, seq: i64) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE published SET seq = max(seq, ?1)")?.execute([seq])?;
    Ok(())
}
