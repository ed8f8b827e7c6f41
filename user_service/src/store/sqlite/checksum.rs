//! The checksum over all users, kept from change to change.

use contract::UsersChecksum;
use rusqlite::{Connection, OptionalExtension};
use shared::log_sync::user_checksum;

use super::{StoreError, users};
use crate::domain::User;

/// How many users are read at once when it is computed from all of them.
const PAGE: u32 = 1_000;

/// Reads it.
pub(super) fn read(connection: &Connection) -> Result<UsersChecksum, StoreError> {
    Ok(find(connection)?.unwrap_or_default())
}

/// Computes it from the users, if it is not there: after a migration, or when somebody has changed
/// the users by hand and deleted it for that.
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

/// Takes a user as they were out of it, and as they are into it. To be called in the transaction
/// of the change.
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

fn write(connection: &Connection, checksum: UsersChecksum) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO users_checksum VALUES (1, ?1)")?
        .execute([checksum.0])?;
    Ok(())
}
