//! The revoked sessions on disk.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::{RevokedSession, StoreError};

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

/// Hands over all that is remembered.
pub(in crate::store) fn load(
    connection: &Connection,
    mut take: impl FnMut(RevokedSession),
) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare("SELECT sid, until_s, lifetime_s FROM revoked_sessions")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let sid: String = row.get(0)?;
        take(RevokedSession { sid: sid.into(), until_s: row.get(1)?, lifetime_s: row.get(2)? });
    }
    Ok(())
}

/// Puts a session on the list; whether it was not there yet.
pub(in crate::store) fn insert(
    connection: &Connection,
    session: &RevokedSession,
) -> Result<bool, StoreError> {
    let RevokedSession { sid, until_s, lifetime_s } = session;
    let inserted = connection
        .prepare_cached("INSERT OR IGNORE INTO revoked_sessions VALUES (?1, ?2, ?3)")?
        .execute(params![&**sid, until_s, lifetime_s])?;
    Ok(inserted == 1)
}

/// Whether the session is on the list.
pub(in crate::store) fn contains(connection: &Connection, sid: &str) -> Result<bool, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT TRUE FROM revoked_sessions WHERE sid = ?1")?;
    Ok(statement.query_row([sid], |_| Ok(())).optional()?.is_some())
}

/// Takes sessions off the list, in one transaction.
pub(in crate::store) fn delete(
    connection: &mut Connection,
    sids: &[Arc<str>],
) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    for sid in sids {
        transaction
            .prepare_cached("DELETE FROM revoked_sessions WHERE sid = ?1")?
            .execute([&**sid])?;
    }
    Ok(transaction.commit()?)
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

    #[test]
    fn what_was_revoked_is_loaded_until_it_is_deleted() {
        let mut connection = database();
        let session = |sid: &str| RevokedSession { sid: sid.into(), until_s: 9, lifetime_s: 3 };
        assert!(insert(&connection, &session("a")).unwrap());
        assert!(!insert(&connection, &session("a")).unwrap());
        assert!(insert(&connection, &session("b")).unwrap());
        delete(&mut connection, &["a".into(), "absent".into()]).unwrap();
        let mut loaded = Vec::new();
        load(&connection, |session| loaded.push(session)).unwrap();
        assert_eq!(loaded, [session("b")]);
        assert!(contains(&connection, "b").unwrap() && !contains(&connection, "a").unwrap());
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
