//! The run of the service that vouches for the log.

use contract::Incarnation;
use rusqlite::{Connection, OptionalExtension};
use shared::secrets::random_bytes;

use super::StoreError;

/// Records that a new run vouches for the log from now on.
pub(super) fn begin(connection: &Connection) -> Result<(), StoreError> {
    let incarnation: [u8; 16] = random_bytes();
    connection.execute("INSERT OR REPLACE INTO log_incarnation VALUES (1, ?1)", [incarnation])?;
    Ok(())
}

/// The last run that vouched for it.
pub(super) fn read(connection: &Connection) -> Result<Incarnation, StoreError> {
    let mut statement = connection.prepare_cached("SELECT incarnation FROM log_incarnation")?;
    let found = statement.query_row([], |row| row.get(0).map(Incarnation)).optional()?;
    Ok(found.unwrap_or_default())
}
