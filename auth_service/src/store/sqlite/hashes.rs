//! The sealed hashes alone: they are sealed anew when the sealing key was replaced.

use contract::{SealedHash, UserId};
use rusqlite::{Connection, params};

use super::super::{StoreError, StoredHash};
use super::totals::{Totals, share_of};

/// The hashes of at most `max` users after this one, by id.
pub(in crate::store) fn find(
    connection: &Connection,
    after: UserId,
    max: u32,
) -> Result<Vec<StoredHash>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT user_id, password_version, sealed_hash FROM credentials
         WHERE user_id > ?1 AND sealed_hash IS NOT NULL ORDER BY user_id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![after.0, max], |row| {
        Ok(StoredHash {
            user: UserId(row.get(0)?),
            password_version: row.get(1)?,
            sealed: SealedHash::new(row.get::<_, String>(2)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Stores these hashes in one transaction, each in the place of that of the same password.
pub(in crate::store) fn replace(
    connection: &mut Connection,
    hashes: &[StoredHash],
) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    let mut totals = Totals::default();
    for StoredHash { user, password_version, sealed } in hashes {
        if let Some(before) = share_of(&transaction, *user)? {
            totals.subtract(before);
        }
        let sql = "UPDATE credentials SET sealed_hash = ?3
                   WHERE user_id = ?1 AND password_version = ?2";
        let columns = params![user.0, password_version, sealed.as_str()];
        transaction.prepare_cached(sql)?.execute(columns)?;
        if let Some(after) = share_of(&transaction, *user)? {
            totals.add(after);
        }
    }
    totals.write_hash_counts(&transaction)?;
    Ok(transaction.commit()?)
}
