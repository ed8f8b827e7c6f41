//! The users as they are now.

use contract::UserId;
use rusqlite::{Connection, OptionalExtension, Row, params};
use shared::hashing::PasswordHash;
use shared::identity::Username;
use shared::sqlite::{StoreError, is_unique_violation};

use crate::domain::{Credentials, User};

/// Why a name was not written.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// Another user has it.
    #[error("another user has this name")]
    Taken,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NameError {
    /// The only unique column is the name's key, and an id is never given by hand.
    fn from_sqlite(error: rusqlite::Error) -> Self {
        if is_unique_violation(&error) { Self::Taken } else { Self::Store(error.into()) }
    }
}

/// Adds a user. When the name is taken, the transaction goes on as if nothing was tried.
///
/// # Errors
/// See [`NameError`].
pub fn insert(
    connection: &Connection,
    username: &Username,
    password_hash: &PasswordHash,
) -> Result<User, NameError> {
    let sql = "INSERT INTO users (username, username_key, password_hash, version, password_version)
               VALUES (?1, ?2, ?3, 1, 1) RETURNING id, username, version, password_version";
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::from)?;
    statement
        .query_row(
            params![username.as_shown(), username.key(), password_hash.expose_phc()],
            to_user,
        )
        .map_err(NameError::from_sqlite)
}

/// Writes the name, under its key, with the versions and the hash of a user who exists.
///
/// # Errors
/// See [`NameError`].
pub fn rename(
    connection: &Connection,
    user: &User,
    username: &Username,
    password_hash: &PasswordHash,
) -> Result<(), NameError> {
    let sql = "UPDATE users SET version = ?2, password_version = ?3, password_hash = ?4,
               username = ?5, username_key = ?6 WHERE id = ?1";
    let User { id, version, password_version, .. } = user;
    let (shown, key) = (username.as_shown(), username.key());
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::from)?;
    statement
        .execute(params![id.0, version, password_version, password_hash.expose_phc(), shown, key])
        .map(drop)
        .map_err(NameError::from_sqlite)
}

/// Writes the versions and the hash of a user who exists.
///
/// # Errors
/// The database failed.
pub fn update(
    connection: &Connection,
    user: &User,
    password_hash: &PasswordHash,
) -> Result<(), StoreError> {
    let sql = "UPDATE users SET version = ?2, password_version = ?3, password_hash = ?4
               WHERE id = ?1";
    let User { id, version, password_version, .. } = user;
    connection.prepare_cached(sql)?.execute(params![
        id.0,
        version,
        password_version,
        password_hash.expose_phc()
    ])?;
    Ok(())
}

/// Removes the user.
///
/// # Errors
/// The database failed.
pub fn delete(connection: &Connection, id: UserId) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([id.0])?;
    Ok(())
}

/// The user with this id.
///
/// # Errors
/// The database failed.
pub fn find(connection: &Connection, id: UserId) -> Result<Option<User>, StoreError> {
    let sql = "SELECT id, username, version, password_version FROM users WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([id.0], to_user).optional()?)
}

/// The name of this user as it is compared.
///
/// # Errors
/// The database failed, or there is no such user.
pub fn find_key(connection: &Connection, id: UserId) -> Result<String, StoreError> {
    let sql = "SELECT username_key FROM users WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?)
}

/// The user with this name.
///
/// # Errors
/// The database failed.
pub fn find_by_name(
    connection: &Connection,
    username: &Username,
) -> Result<Option<User>, StoreError> {
    let sql = "SELECT id, username, version, password_version FROM users WHERE username_key = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([username.key()], to_user).optional()?)
}

/// The user with this id, and their hash.
///
/// # Errors
/// The database failed.
pub fn find_credentials(
    connection: &Connection,
    id: UserId,
) -> Result<Option<Credentials>, StoreError> {
    let sql = "SELECT id, username, version, password_version, password_hash
               FROM users WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([id.0], to_credentials).optional()?)
}

/// Up to `limit` users with ids above `after`, in order of their ids.
///
/// # Errors
/// The database failed.
pub fn list(connection: &Connection, after: i64, limit: u32) -> Result<Vec<User>, StoreError> {
    let sql = "SELECT id, username, version, password_version
               FROM users WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let users = statement.query_map(params![after, limit], to_user)?;
    Ok(users.collect::<Result<_, _>>()?)
}

/// How many users there are.
///
/// # Errors
/// The database failed.
pub fn count(connection: &Connection) -> Result<u32, StoreError> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM users")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Like [`list`], with their hashes.
///
/// # Errors
/// The database failed.
pub fn list_credentials(
    connection: &Connection,
    after: i64,
    limit: u32,
) -> Result<Vec<Credentials>, StoreError> {
    let sql = "SELECT id, username, version, password_version, password_hash
               FROM users WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let users = statement.query_map(params![after, limit], to_credentials)?;
    Ok(users.collect::<Result<_, _>>()?)
}

fn to_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(0)?),
        username: row.get(1)?,
        version: row.get(2)?,
        password_version: row.get(3)?,
    })
}

fn to_credentials(row: &Row<'_>) -> rusqlite::Result<Credentials> {
    Ok(Credentials {
        user: to_user(row)?,
        password_hash: PasswordHash::from_phc(row.get::<_, String>(4)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let connection = crate::store::open(&directory.path().join("users.db")).unwrap();
        (directory, connection)
    }

    fn hash() -> PasswordHash {
        PasswordHash::from_phc("h")
    }

    fn name(text: &str) -> Username {
        Username::parse(text).unwrap()
    }

    #[test]
    fn a_taken_name_costs_no_id_and_leaves_the_transaction_usable() {
        let (_directory, connection) = database();
        let transaction = connection.unchecked_transaction().unwrap();
        insert(&transaction, &name("Anna"), &hash()).unwrap();
        assert!(matches!(insert(&transaction, &name("ANNA"), &hash()), Err(NameError::Taken)));
        let next = insert(&transaction, &name("bert"), &hash()).unwrap();
        transaction.commit().unwrap();
        assert_eq!(next.id, UserId(2));
    }

    #[test]
    fn the_id_of_the_last_user_is_not_used_again_after_its_deletion() {
        let (_directory, connection) = database();
        let first = insert(&connection, &name("anna"), &hash()).unwrap();
        delete(&connection, first.id).unwrap();
        assert_eq!(insert(&connection, &name("anna"), &hash()).unwrap().id, UserId(2));
    }

    #[test]
    fn a_name_is_found_in_any_case_and_a_page_starts_after_its_key() {
        let (_directory, connection) = database();
        for text in ["anna", "bert", "carl"] {
            insert(&connection, &name(text), &hash()).unwrap();
        }
        let found = find_by_name(&connection, &name("BERT")).unwrap().unwrap();
        assert_eq!(found.username, "bert");
        let ids: Vec<i64> = list(&connection, 1, 5).unwrap().iter().map(|user| user.id.0).collect();
        assert_eq!(ids, [2, 3]);
    }
}
