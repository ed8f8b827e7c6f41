//! The users in their current state.

use contract::{Position, UserId};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use shared::hashing::PasswordHash;
use shared::identity::Username;
use shared::sqlite::is_unique_violation;

use super::super::ChangeError;
use super::StoreError;
use crate::domain::{Credentials, User};

/// The columns of a user, in the order of [`to_user`]. A new column is added in both, in [`insert`],
/// [`insert_moved`] and [`write`], and by a migration; [`to_credentials`] reads the hash after the last.
macro_rules! columns {
    () => {
        "id, username, username_key, version, password_version, changed, stamp, is_admin"
    };
}

/// The same with the hash, in the order of [`to_credentials`].
macro_rules! columns_with_hash {
    () => {
        concat!(columns!(), ", password_hash")
    };
}

fn to_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(0)?),
        username: row.get(1)?,
        username_key: row.get(2)?,
        version: row.get(3)?,
        password_version: row.get(4)?,
        changed: Position::from_bytes(row.get(5)?),
        stamp: Position::from_bytes(row.get(6)?),
        is_admin: row.get(7)?,
    })
}

fn to_credentials(row: &Row<'_>) -> rusqlite::Result<Credentials> {
    let password_hash = PasswordHash::from_phc(row.get::<_, String>(8)?);
    Ok(Credentials { user: to_user(row)?, password_hash })
}

/// Adds a user, at version 1 and without positions: call [`write_positions`] when the record is
/// written, which contains the id. If the name is taken, the transaction continues as if nothing was
/// tried.
pub(super) fn insert(
    connection: &Connection,
    username: &Username,
    password_hash: &PasswordHash,
) -> Result<User, ChangeError> {
    let sql = concat!(
        "INSERT INTO users (username, username_key, version, password_version, password_hash)
         VALUES (?1, ?2, 1, 1, ?3) RETURNING ",
        columns!()
    );
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::from)?;
    statement
        .query_row(
            params![username.as_shown(), username.key(), password_hash.expose_phc()],
            to_user,
        )
        .map_err(name_taken_or_failed)
}

/// Adds a user as they were in another database.
pub(super) fn insert_moved(connection: &Connection, known: &Credentials) -> Result<(), StoreError> {
    let sql = "INSERT INTO users (id, username, username_key, version, password_version,
                                  password_hash, changed, stamp, is_admin)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let Credentials { user, password_hash } = known;
    connection.prepare_cached(sql)?.execute(params![
        user.id.0,
        user.username,
        user.username_key,
        user.version,
        user.password_version,
        password_hash.expose_phc(),
        user.changed.to_bytes(),
        user.stamp.to_bytes(),
        user.is_admin
    ])?;
    Ok(())
}

/// Writes the user's current state, except the positions, and the hash. If the name is taken, the transaction continues as
/// if nothing was tried.
pub(super) fn write(
    connection: &Connection,
    user: &User,
    password_hash: &PasswordHash,
) -> Result<(), ChangeError> {
    let sql = "UPDATE users SET username = ?2, username_key = ?3, version = ?4,
               password_version = ?5, password_hash = ?6, is_admin = ?7 WHERE id = ?1";
    let User { id, username, username_key, version, password_version, is_admin, .. } = user;
    let hash = password_hash.expose_phc();
    connection
        .prepare_cached(sql)
        .map_err(StoreError::from)?
        .execute(params![id.0, username, username_key, version, password_version, hash, is_admin])
        .map(drop)
        .map_err(name_taken_or_failed)
}

/// Writes the positions of the user's records.
pub(super) fn write_positions(connection: &Connection, user: &User) -> Result<(), StoreError> {
    let User { id, changed, stamp, .. } = user;
    connection
        .prepare_cached("UPDATE users SET changed = ?2, stamp = ?3 WHERE id = ?1")?
        .execute(params![id.0, changed.to_bytes(), stamp.to_bytes()])?;
    Ok(())
}

/// The only unique column is the name's key; an id is never chosen by a caller.
fn name_taken_or_failed(error: rusqlite::Error) -> ChangeError {
    if is_unique_violation(&error) {
        ChangeError::NameTaken
    } else {
        ChangeError::Store(error.into())
    }
}

/// Removes the user.
pub(super) fn delete(connection: &Connection, id: UserId) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([id.0])?;
    Ok(())
}

/// The user with this id.
pub(super) fn find(connection: &Connection, id: UserId) -> Result<Option<User>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = ?1");
    one(connection, SQL, &id.0, to_user)
}

/// The user whose name has this key.
pub(super) fn find_by_key(connection: &Connection, key: &str) -> Result<Option<User>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM users WHERE username_key = ?1");
    one(connection, SQL, &key, to_user)
}

/// The user with this id, and their hash.
pub(super) fn find_credentials(
    connection: &Connection,
    id: UserId,
) -> Result<Option<Credentials>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns_with_hash!(), " FROM users WHERE id = ?1");
    one(connection, SQL, &id.0, to_credentials)
}

/// Up to `limit` users with ids above `after`, in order of their ids.
pub(super) fn list(
    connection: &Connection,
    after: i64,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    const SQL: &str =
        concat!("SELECT ", columns!(), " FROM users WHERE id > ?1 ORDER BY id LIMIT ?2");
    page(connection, SQL, after, limit, to_user)
}

/// The administrators, in order of their ids.
pub(super) fn list_admins(connection: &Connection) -> Result<Vec<User>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM users WHERE is_admin ORDER BY id");
    let mut statement = connection.prepare_cached(SQL)?;
    let rows = statement.query_map([], to_user)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Like [`list`], with their hashes.
pub(super) fn list_credentials(
    connection: &Connection,
    after: i64,
    limit: u32,
) -> Result<Vec<Credentials>, StoreError> {
    const SQL: &str =
        concat!("SELECT ", columns_with_hash!(), " FROM users WHERE id > ?1 ORDER BY id LIMIT ?2");
    page(connection, SQL, after, limit, to_credentials)
}

/// How many users there are.
pub(super) fn count(connection: &Connection) -> Result<u32, StoreError> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM users")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    wanted: &dyn ToSql,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    Ok(connection.prepare_cached(sql)?.query_row([wanted], read).optional()?)
}

fn page<T>(
    connection: &Connection,
    sql: &str,
    after: i64,
    limit: u32,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![after, limit], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
