//! The log of changes: dense, chained, and written in the transaction of the change.

use contract::{EventKind, Incarnation, LogRecord, Position, RecordHash};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use shared::log_sync::record_hash;
use shared::sqlite::StoreError;

/// A record that is not yet in the log.
#[derive(Clone, Debug)]
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

/// Which records may go.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Those recorded since then stay, in milliseconds since 1970.
    pub since_ms: i64,
    /// So many of the newest stay whatever their age.
    pub rows: i64,
}

/// Appends the record; its number.
///
/// The end is read here, in the same transaction, and not kept in memory: a change that is undone
/// takes its record along, and the next one gets the same number.
///
/// # Errors
/// The database failed.
pub fn append(connection: &Connection, record: &NewRecord<'_>) -> Result<i64, StoreError> {
    let NewRecord { kind, recorded_at_ms, traceparent, data } = record;
    let end = end(connection)?;
    let seq = end.seq + 1;
    let hash = record_hash(end.hash, seq, kind, *recorded_at_ms, data);
    connection
        .prepare_cached("INSERT INTO user_log VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![seq, hash.0, recorded_at_ms, kind.as_str(), traceparent, data])?;
    Ok(seq)
}

/// Where the log ends. If all of it was pruned, that is where it begins.
///
/// # Errors
/// The database failed.
pub fn end(connection: &Connection) -> Result<Position, StoreError> {
    let sql = "SELECT seq, chain FROM user_log ORDER BY seq DESC LIMIT 1";
    match connection.prepare_cached(sql)?.query_row([], to_position).optional()? {
        Some(end) => Ok(end),
        None => start(connection),
    }
}

/// Where the log begins: the last record that was pruned, or the place before the first.
///
/// # Errors
/// The database failed.
pub fn start(connection: &Connection) -> Result<Position, StoreError> {
    let mut statement = connection.prepare_cached("SELECT seq, chain FROM log_start")?;
    Ok(statement.query_row([], to_position)?)
}

fn to_position(row: &Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position { seq: row.get(0)?, hash: RecordHash(row.get(1)?) })
}

/// Deletes records from the front, `limit` at the most; how many. What is not `published` stays,
/// and so does everything after the first record that has to stay: the log has no gaps.
///
/// To be called in a transaction.
///
/// # Errors
/// The database failed.
pub fn prune(
    connection: &Connection,
    retention: Retention,
    published: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    let up_to = published.min(end(connection)?.seq - retention.rows);
    let sql = "SELECT seq, chain, recorded_at_ms < ?1 AND seq <= ?2
               FROM user_log ORDER BY seq LIMIT ?3";
    let mut last = None;
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![retention.since_ms, up_to, limit])?;
    while let Some(row) = rows.next()? {
        if !row.get::<_, bool>(2)? {
            break;
        }
        last = Some(to_position(row)?);
    }
    drop(rows);
    let Some(Position { seq, hash }) = last else { return Ok(0) };
    // Its hash must stay known: a follower that stands there goes on, and so does the log itself.
    connection
        .prepare_cached("UPDATE log_start SET seq = ?1, chain = ?2")?
        .execute(params![seq, hash.0])?;
    Ok(connection.prepare_cached("DELETE FROM user_log WHERE seq <= ?1")?.execute([seq])?)
}

/// The hash at `seq`; nothing if there is no such record (any more). Where the log begins it is
/// known, although the record there is gone.
///
/// # Errors
/// The database failed.
pub fn hash_at(connection: &Connection, seq: i64) -> Result<Option<RecordHash>, StoreError> {
    let start = start(connection)?;
    if seq == start.seq {
        return Ok(Some(start.hash));
    }
    let mut statement = connection.prepare_cached("SELECT chain FROM user_log WHERE seq = ?1")?;
    Ok(statement.query_row([seq], |row| row.get(0).map(RecordHash)).optional()?)
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
    let Some(mut prev_hash) = hash_at(connection, seq)? else { return Ok(Vec::new()) };
    let sql = "SELECT seq, chain, recorded_at_ms, kind, traceparent, data
               FROM user_log WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut records = Vec::new();
    for record in statement.query_map(params![seq, limit], to_record)? {
        let mut record = record?;
        record.prev_hash = std::mem::replace(&mut prev_hash, record.position.hash);
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

/// The hash of the record before is not in its row: the caller knows it.
fn to_record(row: &Row<'_>) -> rusqlite::Result<LogRecord> {
    let kind: String = row.get(3)?;
    let unknown = || {
        let reason = format!("{kind} is no kind of event").into();
        rusqlite::Error::FromSqlConversionFailure(3, Type::Text, reason)
    };
    Ok(LogRecord {
        position: to_position(row)?,
        prev_hash: RecordHash::default(),
        kind: EventKind::parse(&kind).ok_or_else(unknown)?,
        recorded_at_ms: row.get(2)?,
        traceparent: row.get(4)?,
        data: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::log_sync::follows;

    fn database() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let connection = crate::store::open(&directory.path().join("users.db")).unwrap();
        (directory, connection)
    }

    fn record(data: &str) -> NewRecord<'_> {
        let kind = EventKind::CREATED;
        NewRecord { kind, recorded_at_ms: 5, traceparent: None, data }
    }

    #[test]
    fn records_are_dense_and_each_fits_the_one_before() {
        let (_directory, connection) = database();
        for data in ["a", "b", "c"] {
            append(&connection, &record(data)).unwrap();
        }
        let mut position = Position::default();
        for record in records_after(&connection, 0, 10).unwrap() {
            assert!(follows(position, &record), "{record:?}");
            position = record.position;
        }
        assert_eq!(position, end(&connection).unwrap());
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
    fn the_empty_logs_hash_is_known_until_the_start_is_pruned() {
        let (_directory, connection) = database();
        assert_eq!(hash_at(&connection, 0).unwrap(), Some(RecordHash::default()));
        append(&connection, &record("a")).unwrap();
        append(&connection, &record("b")).unwrap();
        assert_eq!(hash_at(&connection, 0).unwrap(), Some(RecordHash::default()));
        assert_eq!(hash_at(&connection, 3).unwrap(), None);
        let first = records_after(&connection, 0, 1).unwrap()[0].position.hash;
        assert_eq!(prune(&connection, Retention { since_ms: 6, rows: 0 }, 1, 9).unwrap(), 1);
        assert_eq!(hash_at(&connection, 0).unwrap(), None);
        assert_eq!(hash_at(&connection, 1).unwrap(), Some(first));
    }

    #[test]
    fn a_log_that_was_pruned_goes_on_where_it_was() {
        let (_directory, connection) = database();
        for data in ["a", "b", "c"] {
            append(&connection, &record(data)).unwrap();
        }
        let before = end(&connection).unwrap();
        assert_eq!(prune(&connection, Retention { since_ms: 6, rows: 0 }, 3, 9).unwrap(), 3);
        assert_eq!(end(&connection).unwrap(), before);
        assert_eq!(append(&connection, &record("d")).unwrap(), 4);
        let rest = records_after(&connection, 3, 10).unwrap();
        assert!(follows(before, &rest[0]), "{rest:?}");
    }

    #[test]
    fn what_is_young_or_among_the_newest_or_not_published_stays() {
        let (_directory, connection) = database();
        for (data, recorded_at_ms) in [("a", 1), ("b", 2), ("c", 9), ("d", 3), ("e", 4)] {
            append(&connection, &NewRecord { recorded_at_ms, ..record(data) }).unwrap();
        }
        for (since_ms, rows, published, limit, pruned) in [
            (0, 0, 5, 9, 0),
            (10, 5, 5, 9, 0),
            (10, 0, 0, 9, 0),
            (10, 4, 5, 9, 1),
            (10, 0, 5, 1, 1),
            (10, 0, 1, 9, 1),
            // The third is young: the older ones after it stay with it.
            (5, 0, 5, 9, 2),
            (10, 0, 5, 9, 5),
        ] {
            let undone = connection.unchecked_transaction().unwrap();
            let retention = Retention { since_ms, rows };
            let count = prune(&undone, retention, published, limit).unwrap();
            assert_eq!(count, pruned, "{retention:?} {published} {limit}");
        }
    }
}
