//! The log of changes: dense, chained, and written in the transaction of the change.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use shared::contract::{Chain, EventKind, Incarnation, LogRecord};
use shared::sqlite::StoreError;
use shared::sync::extend;

/// A record that is not yet in the log.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// What happened.
    pub kind: EventKind,
    /// When, in milliseconds since 1970.
    pub recorded_at_ms: i64,
    /// W3C trace context of the request that caused it.
    pub traceparent: Option<&'a str>,
    /// The event's data, JSON.
    pub data: &'a str,
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The last record's number, 0 if there is none.
    pub seq: i64,
    /// The last record's chain.
    pub chain: Chain,
}

/// Appends the record; its number.
///
/// The end is read here, in the same transaction, and not kept in memory: a change that is undone
/// takes its record along, and the next one gets the same number.
///
/// # Errors
/// The database failed.
pub fn append(connection: &Connection, record: &NewRecord<'_>) -> Result<i64, StoreError> {
    let NewRecord { kind, recorded_at_ms, traceparent, data } = *record;
    let end = end(connection)?;
    let seq = end.seq + 1;
    let chain = extend(end.chain, seq, kind, recorded_at_ms, data);
    connection
        .prepare_cached("INSERT INTO user_log VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![seq, chain.0, recorded_at_ms, kind.as_str(), traceparent, data])?;
    Ok(seq)
}

/// Where the log ends.
///
/// # Errors
/// The database failed.
pub fn end(connection: &Connection) -> Result<End, StoreError> {
    let sql = "SELECT seq, chain FROM user_log ORDER BY seq DESC LIMIT 1";
    let end = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok(End { seq: row.get(0)?, chain: Chain(row.get(1)?) }))
        .optional()?;
    Ok(end.unwrap_or(End { seq: 0, chain: Chain::default() }))
}

/// The chain at `seq`; nothing if there is no such record (any more). Before the first record it
/// is the empty log's, as long as the log still starts there.
///
/// # Errors
/// The database failed.
pub fn chain_at(connection: &Connection, seq: i64) -> Result<Option<Chain>, StoreError> {
    if seq == 0 {
        let sql = "SELECT coalesce(min(seq), 1) = 1 FROM user_log";
        let starts_at_1: bool = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        return Ok(starts_at_1.then(Chain::default));
    }
    let mut statement = connection.prepare_cached("SELECT chain FROM user_log WHERE seq = ?1")?;
    Ok(statement.query_row([seq], |row| row.get(0).map(Chain)).optional()?)
}

/// Up to `limit` records after `seq`, in their order, without a gap.
///
/// # Errors
/// The database failed.
pub fn records_after(
    connection: &Connection,
    seq: i64,
    limit: u32,
) -> Result<Vec<LogRecord>, StoreError> {
    let Some(mut previous) = chain_at(connection, seq)? else { return Ok(Vec::new()) };
    let sql = "SELECT seq, chain, recorded_at_ms, kind, traceparent, data
               FROM user_log WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut records = Vec::new();
    for record in statement.query_map(params![seq, limit], to_record)? {
        let mut record = record?;
        record.previous = std::mem::replace(&mut previous, record.chain);
        records.push(record);
    }
    Ok(records)
}

/// Notes that a new run of the service vouches for the log from now on.
///
/// # Errors
/// The database failed.
pub fn begin_incarnation(
    connection: &Connection,
    incarnation: Incarnation,
) -> Result<(), StoreError> {
    connection.execute("INSERT OR REPLACE INTO log_incarnation VALUES (1, ?1)", [incarnation.0])?;
    Ok(())
}

/// The chain of the record before is not in its row: the caller knows it.
fn to_record(row: &Row<'_>) -> rusqlite::Result<LogRecord> {
    let kind: String = row.get(3)?;
    let unknown = || {
        let reason = format!("{kind} is no kind of event").into();
        rusqlite::Error::FromSqlConversionFailure(3, Type::Text, reason)
    };
    Ok(LogRecord {
        seq: row.get(0)?,
        previous: Chain::default(),
        chain: Chain(row.get(1)?),
        kind: EventKind::parse(&kind).ok_or_else(unknown)?,
        recorded_at_ms: row.get(2)?,
        traceparent: row.get(4)?,
        data: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::contract::Cursor;
    use shared::sync::fits;

    fn database() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let connection = crate::store::open(&directory.path().join("users.db")).unwrap();
        (directory, connection)
    }

    fn record(data: &str) -> NewRecord<'_> {
        let kind = EventKind::Created;
        NewRecord { kind, recorded_at_ms: 5, traceparent: None, data }
    }

    #[test]
    fn records_are_dense_and_each_fits_the_one_before() {
        let (_directory, connection) = database();
        for data in ["a", "b", "c"] {
            append(&connection, &record(data)).unwrap();
        }
        let mut cursor = Cursor::default();
        for record in records_after(&connection, 0, 10).unwrap() {
            assert!(fits(&cursor, &record), "{record:?}");
            cursor = Cursor { seq: record.seq, chain: record.chain, ..cursor };
        }
        let end = end(&connection).unwrap();
        assert_eq!((cursor.seq, cursor.chain), (end.seq, end.chain));
        assert_eq!(records_after(&connection, 2, 10).unwrap()[0].data, "c");
    }

    #[test]
    fn a_record_that_is_undone_leaves_no_gap() {
        let (_directory, mut connection) = database();
        let mut transaction = connection.transaction().unwrap();
        append(&transaction, &record("a")).unwrap();
        let undone = transaction.savepoint().unwrap();
        assert_eq!(append(&undone, &record("b")).unwrap(), 2);
        undone.finish().unwrap();
        assert_eq!(append(&transaction, &record("c")).unwrap(), 2);
    }

    #[test]
    fn the_empty_logs_chain_is_known_until_the_start_is_pruned() {
        let (_directory, connection) = database();
        assert_eq!(chain_at(&connection, 0).unwrap(), Some(Chain::default()));
        append(&connection, &record("a")).unwrap();
        append(&connection, &record("b")).unwrap();
        assert_eq!(chain_at(&connection, 0).unwrap(), Some(Chain::default()));
        assert_eq!(chain_at(&connection, 3).unwrap(), None);
        connection.execute("DELETE FROM user_log WHERE seq = 1", []).unwrap();
        assert_eq!(chain_at(&connection, 0).unwrap(), None);
    }
}
