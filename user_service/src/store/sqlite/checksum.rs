//! The checksum over all users, stored and updated with each change.

use contract::UsersChecksum;
use rusqlite::{Connection, OptionalExtension};
use shared::log_sync::user_checksum;

use super::{StoreError, users};
use crate::domain::User;

/// How many users are read at once when the checksum is computed from all users.
const PAGE: u32 = 1_000;

/// Reads the checksum.
pub(super) fn read(connection: &Connection) -> Result<UsersChecksum, StoreError> {
    Ok(find(connection)?.unwrap_or_default())
}

/// Computes the checksum from all users if it is not stored: after a migration, or when an operator
/// has changed the users by hand and deleted the checksum for that reason.
pub(super) fn compute_if_absent(connection: &Connection) -> Result<(), StoreError> {
    if find(connection)?.is_some() {
        return Ok(());
    }
    let (mut checksum, mut after) = (UsersChecksum::default(), 0);
    loop {
        let page = users::list(connection, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id.0;
        checksum = page.iter().map(of).fold(checksum, UsersChecksum::plus);
    }
    write(connection, checksum)
}

/// Removes the user's old state from the checksum and adds the new one. Must be called in the
/// transaction of the change.
pub(super) fn replace(
    connection: &Connection,
    before: Option<&User>,
    after: Option<&User>,
) -> Result<(), StoreError> {
    let mut checksum = read(connection)?;
    if let Some(before) = before {
        checksum = checksum.minus(of(before));
    }
    if let Some(after) = after {
        checksum = checksum.plus(of(after));
    }
    write(connection, checksum)
}

fn of(user: &User) -> UsersChecksum {
    user_checksum(user.id, user.version, &user.username)
}

fn find(connection: &Connection) -> Result<Option<UsersChecksum>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT checksum FROM users_checksum")?;
    Ok(statement.query_row([], |row| row.get(0).map(UsersChecksum)).optional()?)
}

/// Stores it.
pub(super) fn write(connection: &Connection, checksum: UsersChecksum) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO users_checksum VALUES (1, ?1)")?
        .execute([checksum.0])?;
    Ok(())
}
