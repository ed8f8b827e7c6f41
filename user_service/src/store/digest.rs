//! What all users come to, kept from change to change.

use contract::UsersChecksum;
use rusqlite::{Connection, OptionalExtension};
use shared::log_sync::user_checksum;
use shared::sqlite::StoreError;

use super::users;
use crate::domain::User;

/// How many users are read at once when it is made anew.
const PAGE: u32 = 1_000;

/// Reads it.
///
/// # Errors
/// The database failed.
pub fn read(connection: &Connection) -> Result<UsersChecksum, StoreError> {
    Ok(find(connection)?.unwrap_or_default())
}

/// Makes it from the users, if it is not there: after a migration, or when somebody has changed
/// the users by hand and deleted it for that.
///
/// # Errors
/// The database failed.
pub fn make_if_absent(connection: &Connection) -> Result<(), StoreError> {
    if find(connection)?.is_some() {
        return Ok(());
    }
    let (mut digest, mut after) = (UsersChecksum::default(), 0);
    loop {
        let page = users::list(connection, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id.0;
        digest = page.iter().map(of).fold(digest, UsersChecksum::plus);
    }
    write(connection, digest)
}

/// Takes a user as they were out of it, and as they are into it. To be called in the transaction
/// of the change.
///
/// # Errors
/// The database failed.
pub fn replace(
    connection: &Connection,
    before: Option<&User>,
    after: Option<&User>,
) -> Result<(), StoreError> {
    let mut digest = read(connection)?;
    if let Some(before) = before {
        digest = digest.minus(of(before));
    }
    if let Some(after) = after {
        digest = digest.plus(of(after));
    }
    write(connection, digest)
}

fn of(user: &User) -> UsersChecksum {
    user_checksum(user.id, user.version, &user.username)
}

fn find(connection: &Connection) -> Result<Option<UsersChecksum>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT digest FROM users_digest")?;
    Ok(statement.query_row([], |row| row.get(0).map(UsersChecksum)).optional()?)
}

fn write(connection: &Connection, digest: UsersChecksum) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO users_digest VALUES (1, ?1)")?
        .execute([digest.0])?;
    Ok(())
}
