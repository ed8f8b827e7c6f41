//! The token set on disk.

use std::sync::Arc;

use contract::token_record::{KeyId, SigningAlgorithm, TokenLife, TokenRecordError};
use contract::{ReplicaId, TokenRecord};
use rusqlite::Error::FromSqlConversionFailure;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use shared::tokens::key_schedule::{OwnKey, Stage};
use shared::tokens::token_set::{BootTime, Change, TokenSet, record_id};

use super::super::StoreError;

/// What is stored about the set as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct SetState {
    /// The start of the machine by whose clock ages are stored.
    pub(in crate::store) boot_id: [u8; 16],
    /// How many transactions have changed it.
    pub(in crate::store) changes: i64,
    /// Records may be missing.
    pub(in crate::store) has_gaps: bool,
    /// The file that it was written to.
    pub(in crate::store) file: Option<String>,
    /// Names this replica.
    pub(in crate::store) replica: ReplicaId,
}

/// What is stored about the set as a whole.
pub(in crate::store) fn find_state(connection: &Connection) -> Result<SetState, StoreError> {
    let sql = "SELECT boot_id, changes, has_gaps, file, replica FROM token_set";
    Ok(connection.query_row(sql, [], |row| {
        Ok(SetState {
            boot_id: row.get(0)?,
            changes: row.get(1)?,
            has_gaps: row.get(2)?,
            file: row.get(3)?,
            replica: ReplicaId(row.get(4)?),
        })
    })?)
}

/// Names the file that the database is written to.
pub(in crate::store) fn name_file(connection: &Connection, file: &str) -> Result<(), StoreError> {
    connection.execute("UPDATE token_set SET file = ?1", [file])?;
    Ok(())
}

/// Records that were here are missing. A login that is repeated under its Idempotency-Key could
/// be of a session that has ended since, so it is a login of its own; no key is this replica's any
/// more. The changes count on from those that are known to have been made. The replica has another
/// name: where the copy was made, there may be one that has the former.
pub(in crate::store) fn begin_with_gaps(
    connection: &Connection,
    changes: i64,
) -> Result<(), StoreError> {
    let sql = "UPDATE token_set
               SET has_gaps = TRUE, changes = max(changes, ?1) + 1, replica = randomblob(16)";
    connection.execute(sql, [changes])?;
    connection.execute("DELETE FROM trusted_keys", [])?;
    connection.execute("DELETE FROM idempotency_keys", [])?;
    connection.execute("DELETE FROM own_keys", [])?;
    Ok(())
}

/// The ages of all records count from `now`, by the clock of this start of the machine.
pub(in crate::store) fn begin_ages_anew(
    connection: &Connection,
    boot_id: [u8; 16],
    now: BootTime,
) -> Result<(), StoreError> {
    connection.execute("UPDATE token_set SET boot_id = ?1", [boot_id])?;
    let sql = "UPDATE token_records SET since_ms = ?1 WHERE since_ms IS NOT NULL";
    connection.execute(sql, [now.0])?;
    connection.execute("UPDATE replicas SET seen_ms = ?1", [now.0])?;
    Ok(())
}

/// Checks whether the database can be written, by a write that changes nothing.
pub(in crate::store) fn probe(connection: &Connection) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE token_set SET changes = changes")?.execute([])?;
    Ok(())
}

/// Notes that this transaction changes the set.
pub(in crate::store) fn count_change(connection: &Connection) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE token_set SET changes = changes + 1")?.execute([])?;
    Ok(())
}

/// Hands over all records, each with the time at which its keeping began, if it has.
pub(in crate::store) fn load_records(
    connection: &Connection,
    mut take: impl FnMut(TokenRecord, Option<BootTime>),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT record, since_ms FROM token_records")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(0)?;
        let record = TokenRecord::from_bytes(&bytes).map_err(unreadable)?;
        take(record, row.get::<_, Option<i64>>(1)?.map(BootTime));
    }
    Ok(())
}

fn unreadable(error: TokenRecordError) -> StoreError {
    StoreError::Failed(Arc::new(error))
}

/// All horizons.
pub(in crate::store) fn find_horizons(
    connection: &Connection,
) -> Result<Vec<TokenLife>, StoreError> {
    let mut statement = connection.prepare("SELECT kid, exp_s FROM horizons")?;
    let rows = statement
        .query_map([], |row| Ok(TokenLife { kid: KeyId(row.get(0)?), exp_s: row.get(1)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes a change of the set, which has been made in memory.
pub(in crate::store) fn write(
    connection: &Connection,
    change: &Change,
    set: &TokenSet,
) -> Result<(), StoreError> {
    let mut raise = connection.prepare_cached(
        "INSERT INTO horizons VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET exp_s = max(exp_s, excluded.exp_s)",
    )?;
    for TokenLife { kid, exp_s } in &change.raised {
        raise.execute(params![kid.0, exp_s])?;
    }
    let mut delete = connection.prepare_cached("DELETE FROM token_records WHERE id = ?1")?;
    for record in &change.removed {
        delete.execute([record_id(record).0])?;
    }
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO token_records VALUES (?1, ?2, ?3)")?;
    for record in &change.added {
        let since_ms = set.kept_since(record).map(|since| since.0);
        insert.execute(params![record_id(record).0, record.to_bytes(), since_ms])?;
    }
    Ok(())
}

/// The keys of this replica, the oldest first. A process counts their times from its start.
pub(in crate::store) fn find_own_keys(
    connection: &Connection,
    now: BootTime,
) -> Result<Vec<OwnKey>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT kid, algorithm, lifetime_s, boot_id, ceiling_s, signs_from_s, stage
         FROM own_keys ORDER BY place",
    )?;
    let rows = statement.query_map([], |row| own_key(row, now))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn own_key(row: &Row<'_>, now: BootTime) -> rusqlite::Result<OwnKey> {
    let (algorithm, stage): (String, String) = (row.get(1)?, row.get(6)?);
    // A key that is taken for another kind would sign what nobody can verify.
    let unknown = |column, text: &str| {
        let message = format!("{text:?} is not known to this version");
        FromSqlConversionFailure(column, Type::Text, message.into())
    };
    Ok(OwnKey {
        kid: KeyId(row.get(0)?),
        algorithm: SigningAlgorithm::parse(&algorithm).ok_or_else(|| unknown(1, &algorithm))?,
        lifetime_s: row.get(2)?,
        boot_id: row.get(3)?,
        ceiling_s: row.get(4)?,
        signs_from_s: row.get(5)?,
        published_at: now,
        stated_at: now,
        stage: match stage.as_str() {
            "next" => Stage::Next,
            "signing" => Stage::Signing,
            "retired" => Stage::Retired(now),
            other => return Err(unknown(6, other)),
        },
    })
}

/// Replaces the keys of this replica.
pub(in crate::store) fn replace_own_keys(
    connection: &Connection,
    own: &[OwnKey],
) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM own_keys")?.execute([])?;
    let mut insert = connection
        .prepare_cached("INSERT INTO own_keys VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for key in own {
        let stage = match key.stage {
            Stage::Next => "next",
            Stage::Signing => "signing",
            Stage::Retired(_) => "retired",
        };
        insert.execute(params![
            key.kid.0,
            key.algorithm.as_str(),
            key.lifetime_s,
            key.boot_id,
            key.ceiling_s,
            key.signs_from_s,
            stage,
        ])?;
    }
    Ok(())
}
