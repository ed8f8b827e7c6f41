//! The log of changes, without gaps. Each record contains a hash over itself and all records before
//! it, and is written in the transaction of the change. The log contains no password hashes.

use contract::{EventKind, LogName, LogRecord, Position, RecordData, RecordHash, UserId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use shared::hashing::PasswordHash;

use super::super::{PresentPassword, StoredRecord, new_record};
use super::{StoreError, incarnation};

/// Appends a record with this data; returns its position.
///
/// The end of the log is read here, in the same transaction, and not kept in memory: when a change
/// is rolled back, its record is too, and the next record gets the same number.
pub(super) fn append(
    connection: &Connection,
    kind: &EventKind,
    data: impl Into<RecordData>,
    recorded_at_ms: i64,
    traceparent: Option<&str>,
) -> Result<Position, StoreError> {
    let run = incarnation::read(connection)?;
    let record = new_record::following(
        end(connection)?,
        kind,
        data.into(),
        run,
        recorded_at_ms,
        traceparent,
    )?;
    insert(connection, &record)?;
    Ok(record.position)
}

/// Writes a record as it is.
pub(super) fn insert(connection: &Connection, record: &LogRecord) -> Result<(), StoreError> {
    let LogRecord { position, kind, recorded_at_ms, traceparent, data, .. } = record;
    let Position { seq, hash } = position;
    let sql = "INSERT INTO user_log (seq, hash, recorded_at_ms, kind, traceparent, data)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        seq,
        hash.0,
        recorded_at_ms,
        kind.as_str(),
        traceparent,
        data
    ])?;
    Ok(())
}

/// The end of the log. If all of it was pruned, that is its beginning.
pub(super) fn end(connection: &Connection) -> Result<Position, StoreError> {
    let sql = "SELECT seq, hash FROM user_log ORDER BY seq DESC LIMIT 1";
    match connection.prepare_cached(sql)?.query_row([], to_position).optional()? {
        Some(end) => Ok(end),
        None => start(connection),
    }
}

/// The beginning of the log: the last record that was pruned, or the position before the first
/// record.
pub(super) fn start(connection: &Connection) -> Result<Position, StoreError> {
    let mut statement = connection.prepare_cached("SELECT seq, hash FROM log_start")?;
    Ok(statement.query_row([], to_position)?)
}

/// The log's own name.
pub(super) fn name(connection: &Connection) -> Result<LogName, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name FROM log_name")?;
    Ok(statement.query_row([], |row| row.get(0).map(LogName))?)
}

/// From a row that begins with `seq` and `hash`.
pub(super) fn to_position(row: &Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position { seq: row.get(0)?, hash: RecordHash(row.get(1)?) })
}

/// Deletes the records up to `seq`, which must exist; returns how many.
///
/// The hash of the last deleted record stays known: a follower at that position can continue from
/// it, and so can the log itself.
pub(super) fn delete_through(connection: &Connection, seq: i64) -> Result<usize, StoreError> {
    let sql = "UPDATE log_start SET (seq, hash) = (SELECT seq, hash FROM user_log WHERE seq = ?1)";
    connection.prepare_cached(sql)?.execute([seq])?;
    Ok(connection.prepare_cached("DELETE FROM user_log WHERE seq <= ?1")?.execute([seq])?)
}

/// The hash of the record `seq`; `None` if that record does not exist or was pruned. The hash of
/// the last pruned record is still known.
pub(super) fn hash_at(connection: &Connection, seq: i64) -> Result<Option<RecordHash>, StoreError> {
    let start = start(connection)?;
    if seq == start.seq {
        return Ok(Some(start.hash));
    }
    let mut statement = connection.prepare_cached("SELECT hash FROM user_log WHERE seq = ?1")?;
    Ok(statement.query_row([seq], |row| row.get(0).map(RecordHash)).optional()?)
}

/// Up to `limit` records after `seq`, in order and without a gap, with the password hashes that are
/// still the users' current ones.
pub(super) fn records_after(
    connection: &Connection,
    seq: i64,
    limit: u32,
) -> Result<Vec<StoredRecord>, StoreError> {
    let Some(mut prev_hash) = hash_at(connection, seq)? else { return Ok(Vec::new()) };
    // The user's new state is inside the record's data, whatever the record's kind.
    let sql = "SELECT log.seq, log.hash, recorded_at_ms, kind, traceparent, data,
                      users.id, users.password_version, users.password_hash
               FROM user_log AS log
               LEFT JOIN users ON users.id = data ->> '$.id'
                    AND users.password_version = data ->> '$.user.password_version'
               WHERE log.seq > ?1 ORDER BY log.seq LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut records = Vec::new();
    for record in statement.query_map(params![seq, limit], to_record)? {
        let mut stored = record?;
        stored.record.prev_hash = std::mem::replace(&mut prev_hash, stored.record.position.hash);
        records.push(stored);
    }
    Ok(records)
}

/// The previous record's hash is not in this row: the caller knows it.
fn to_record(row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    let kind: String = row.get(3)?;
    let unreadable = || {
        let reason = format!("{kind} is not a kind of event").into();
        rusqlite::Error::FromSqlConversionFailure(3, Type::Text, reason)
    };
    let record = LogRecord {
        position: to_position(row)?,
        prev_hash: RecordHash::default(),
        kind: EventKind::parse(&kind).ok_or_else(unreadable)?,
        recorded_at_ms: row.get(2)?,
        traceparent: row.get(4)?,
        data: row.get(5)?,
    };
    Ok(StoredRecord { record, password: to_password(row)? })
}

fn to_password(row: &Row<'_>) -> rusqlite::Result<Option<PresentPassword>> {
    let Some(id) = row.get::<_, Option<i64>>(6)? else { return Ok(None) };
    Ok(Some(PresentPassword {
        id: UserId(id),
        password_version: row.get(7)?,
        hash: PasswordHash::from_phc(row.get::<_, String>(8)?),
    }))
}
