//! The position in the log up to which the bus has confirmed the events.

use rusqlite::Connection;

use super::StoreError;

/// Reads it: 0 before the first event.
pub(super) fn read(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT seq FROM published")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Moves it forward, never back.
pub(super) fn advance(connection: &Connection, seq: i64) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE published SET seq = max(seq, ?1)")?.execute([seq])?;
    Ok(())
}

/// Writes the same value again, to find out whether the database can be written. It may find its
/// place where a change does not: there must be room, too.
pub(super) fn touch(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("UPDATE published SET seq = seq", [])?;
    Ok(())
}
