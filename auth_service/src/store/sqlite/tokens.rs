//! The revoked tokens on disk.

use contract::UserId;
use rusqlite::{Connection, params};
use shared::tokens::RevokedView;

use super::super::StoreError;

/// The random name that this database got when it was made.
pub(in crate::store) fn find_generation(connection: &Connection) -> Result<String, StoreError> {
    Ok(connection.query_row("SELECT id FROM generation", [], |row| row.get(0))?)
}

/// Gives the database a new random name: tokens signed under the old one are dead.
pub(in crate::store) fn renew_generation(connection: &Connection) -> Result<String, StoreError> {
    connection.execute("UPDATE generation SET id = lower(hex(randomblob(8)))", [])?;
    find_generation(connection)
}

/// Checks whether the database can be written, by a write that changes nothing.
pub(in crate::store) fn probe(connection: &Connection) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE generation SET id = id")?.execute([])?;
    Ok(())
}

/// Fills the view with all that is remembered.
pub(in crate::store) fn load(
    connection: &Connection,
    view: &RevokedView,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT jti, exp_s FROM revoked_tokens")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        view.insert_token(row.get(0)?, row.get(1)?);
    }
    let mut statement =
        connection.prepare("SELECT user_id, min_password_version, until_s FROM revoked_users")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        view.insert_user(UserId(row.get(0)?), row.get(1)?, row.get(2)?);
    }
    Ok(())
}

/// Puts a token on the list; whether it was not there yet.
pub(in crate::store) fn insert_token(
    connection: &Connection,
    jti: &str,
    exp_s: i64,
) -> Result<bool, StoreError> {
    let inserted = connection
        .prepare_cached("INSERT OR IGNORE INTO revoked_tokens VALUES (?1, ?2)")?
        .execute(params![jti, exp_s])?;
    Ok(inserted == 1)
}

/// Puts the user's tokens of versions before `min_password_version` on the list. A later call
/// never makes a dead token live again.
pub(in crate::store) fn insert_user(
    connection: &Connection,
    user: UserId,
    min_password_version: i64,
    until_s: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO revoked_users VALUES (?1, ?2, ?3) ON CONFLICT (user_id) DO UPDATE SET
             min_password_version = max(min_password_version, excluded.min_password_version),
             until_s = max(until_s, excluded.until_s)",
        )?
        .execute(params![user.0, min_password_version, until_s])?;
    Ok(())
}

/// Deletes up to `limit` revocations of either kind whose tokens have expired by `now_s`; returns how
/// many of the more frequent kind.
pub(in crate::store) fn delete_expired(
    connection: &Connection,
    now_s: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    let tokens = connection
        .prepare_cached(
            "DELETE FROM revoked_tokens WHERE jti IN
             (SELECT jti FROM revoked_tokens WHERE exp_s <= ?1 ORDER BY exp_s LIMIT ?2)",
        )?
        .execute(params![now_s, limit])?;
    let users = connection
        .prepare_cached(
            "DELETE FROM revoked_users WHERE user_id IN
             (SELECT user_id FROM revoked_users WHERE until_s <= ?1 ORDER BY until_s LIMIT ?2)",
        )?
        .execute(params![now_s, limit])?;
    Ok(tokens.max(users))
}

#[cfg(test)]
mod tests {
    use super::super::migrations;
    use super::*;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::tokens().to_latest(&mut connection).unwrap();
        connection
    }

    fn loaded(connection: &Connection) -> (usize, usize) {
        let view = RevokedView::default();
        load(connection, &view).unwrap();
        view.len()
    }

    #[test]
    fn what_was_revoked_is_loaded_until_it_has_expired() {
        let connection = database();
        assert!(insert_token(&connection, "a", 9).unwrap());
        assert!(!insert_token(&connection, "a", 9).unwrap());
        insert_user(&connection, UserId(1), 3, 9).unwrap();
        insert_user(&connection, UserId(1), 2, 8).unwrap();
        assert_eq!(delete_expired(&connection, 8, 10).unwrap(), 0);
        assert_eq!(loaded(&connection), (1, 1));
        assert_eq!(delete_expired(&connection, 9, 10).unwrap(), 1);
        assert_eq!(loaded(&connection), (0, 0));
    }

    #[test]
    fn what_has_expired_goes_in_chunks() {
        let connection = database();
        for jti in ["a", "b", "c"] {
            insert_token(&connection, jti, 9).unwrap();
        }
        let chunks = [2, 1, 0];
        assert_eq!(chunks.map(|_| delete_expired(&connection, 9, 2).unwrap()), chunks);
    }

    #[test]
    fn every_database_has_a_generation_of_its_own() {
        let (one, other) = (database(), database());
        let generation = find_generation(&one).unwrap();
        assert_eq!(generation, find_generation(&one).unwrap());
        assert_ne!(generation, find_generation(&other).unwrap());
        assert_ne!(generation, renew_generation(&one).unwrap());
    }
}
