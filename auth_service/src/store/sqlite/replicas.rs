//! What is stored about other replicas.

use contract::ReplicaId;
use contract::token_record::{KeyId, TokenRecordId};
use rusqlite::{Connection, params};
use shared::tokens::token_set::BootTime;

use super::super::StoreError;

/// The bus has confirmed these records: their keeping began then.
pub(in crate::store) fn confirm(
    connection: &Connection,
    confirmed: &[(TokenRecordId, BootTime)],
) -> Result<(), StoreError> {
    let sql = "UPDATE token_records SET since_ms = ?2 WHERE id = ?1 AND since_ms IS NULL";
    let mut update = connection.prepare_cached(sql)?;
    for (id, since) in confirmed {
        update.execute(params![id.0, since.0])?;
    }
    Ok(())
}

/// The other replicas, and when each was heard of last.
pub(in crate::store) fn find_replicas(
    connection: &Connection,
) -> Result<Vec<(ReplicaId, BootTime)>, StoreError> {
    let mut statement = connection.prepare("SELECT id, seen_ms FROM replicas")?;
    let rows =
        statement.query_map([], |row| Ok((ReplicaId(row.get(0)?), BootTime(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// This replica was heard of now; those that were not since `forget_before` are deleted.
pub(in crate::store) fn see_replica(
    connection: &Connection,
    replica: ReplicaId,
    now: BootTime,
    forget_before: BootTime,
) -> Result<(), StoreError> {
    connection.execute("DELETE FROM replicas WHERE seen_ms < ?1", [forget_before.0])?;
    let sql = "INSERT OR REPLACE INTO replicas VALUES (?1, ?2)";
    connection.execute(sql, params![replica.0, now.0])?;
    Ok(())
}

/// Keys of other replicas that are trusted although the set has gaps.
pub(in crate::store) fn find_trusted_keys(
    connection: &Connection,
) -> Result<Vec<KeyId>, StoreError> {
    let mut statement = connection.prepare("SELECT kid FROM trusted_keys")?;
    let rows = statement.query_map([], |row| Ok(KeyId(row.get(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// These keys are trusted, too.
pub(in crate::store) fn trust_keys<'a>(
    connection: &Connection,
    keys: impl IntoIterator<Item = &'a KeyId>,
) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO trusted_keys VALUES (?1)")?;
    for kid in keys {
        insert.execute([kid.0])?;
    }
    Ok(())
}

/// Nothing is missing any more: every key is trusted.
pub(in crate::store) fn close_gaps(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("UPDATE token_set SET has_gaps = FALSE", [])?;
    connection.execute("DELETE FROM trusted_keys", [])?;
    Ok(())
}
