//! The position in the log up to which the bus has confirmed the events.

use std::error::Error;

use contract::Position;
use rusqlite::Connection;

use super::{StoreError, log};

/// Reads it: 0 before the first event.
pub(super) fn read(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT seq FROM published")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Moves it forward to the position that the bus has confirmed, if the log has that; returns after
/// which record publishing goes on.
pub(super) fn record(
    connection: &Connection,
    confirmed: Option<Position>,
) -> Result<i64, StoreError> {
    let recorded = read(connection)?;
    let Some(Position { seq, hash }) = confirmed.filter(|place| place.seq > recorded) else {
        return Ok(recorded);
    };
    if log::hash_at(connection, seq)? != Some(hash) {
        return Ok(recorded);
    }
    if let Err(error) = advance(connection, seq) {
        // The disk may be full. After a restart, events after the recorded position come twice.
        let error = &error as &dyn Error;
        tracing::debug!(error, "the published position was not recorded");
    }
    Ok(seq)
}

/// Moves it forward, never back.
fn advance(connection: &Connection, seq: i64) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE published SET seq = max(seq, ?1)")?.execute([seq])?;
    Ok(())
}

/// Writes the same value again, to find out whether the database can be written. It may find its
/// place where a change does not: there must be room, too.
pub(super) fn touch(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("UPDATE published SET seq = seq", [])?;
    Ok(())
}
