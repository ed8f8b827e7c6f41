//! The dead tokens on disk.

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

/// Forgets what nobody would take anyhow at `now_s`.
pub(in crate::store) fn delete_expired(
    connection: &Connection,
    now_s: i64,
) -> Result<(), StoreError> {
    connection.execute("DELETE FROM revoked_tokens WHERE exp_s <= ?1", [now_s])?;
    connection.execute("DELETE FROM revoked_users WHERE until_s <= ?1", [now_s])?;
    Ok(())
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
        delete_expired(&connection, 8).unwrap();
        assert_eq!(loaded(&connection), (1, 1));
        delete_expired(&connection, 9).unwrap();
        assert_eq!(loaded(&connection), (0, 0));
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
