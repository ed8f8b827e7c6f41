//! Deletes data beyond its retention, a few rows at a time, so that no write waits long for it.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use shared::sqlite::idempotency;

use super::super::{Pruned, Retention};
use super::{StoreError, log, published};

/// Prunes one chunk, in a separate transaction.
pub(super) fn prune(
    connection: &mut Connection,
    retention: Retention,
    now_ms: i64,
) -> Result<Pruned, StoreError> {
    let behavior = TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(behavior)?;
    note_age(&transaction, retention, now_ms)?;
    let records = prune_log(&transaction, retention, now_ms)?;
    let responses = idempotency::prune(&transaction, now_ms, Retention::CHUNK.into())?;
    let log_start_seq = log::start(&transaction)?.seq;
    transaction.commit()?;
    let has_more = records.max(responses) == usize::from(Retention::CHUNK);
    Ok(Pruned { records, responses, log_start_seq, has_more })
}

/// Notes that every record that is in the log now is at least this old.
///
/// The times inside the records are not used: if the clock was once ahead, records from then would
/// never be deleted. Here a time in the future is corrected as soon as it is seen.
fn note_age(connection: &Connection, retention: Retention, now_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE log_ages SET seen_ms = ?1 WHERE seen_ms > ?1")?
        .execute([now_ms])?;
    let last: Option<(i64, i64)> = connection
        .prepare_cached("SELECT seq, seen_ms FROM log_ages ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let end = log::end(connection)?.seq;
    if retention.wants_age(last, end, now_ms) {
        connection
            .prepare_cached("INSERT INTO log_ages (seq, seen_ms) VALUES (?1, ?2)")?
            .execute([end, now_ms])?;
    }
    Ok(())
}

fn prune_log(
    connection: &Connection,
    retention: Retention,
    now_ms: i64,
) -> Result<usize, StoreError> {
    let since_ms = now_ms.saturating_sub(retention.age_ms);
    let old: Option<i64> = connection
        .prepare_cached("SELECT max(seq) FROM log_ages WHERE seen_ms <= ?1")?
        .query_row([since_ms], |row| row.get(0))?;
    let start = log::start(connection)?.seq;
    let ends = (start, log::end(connection)?.seq);
    let published = published::read(connection)?;
    let through = retention.prunes_through(old.unwrap_or(0), ends, published);
    if through <= start {
        return Ok(0);
    }
    let pruned = log::delete_through(connection, through)?;
    connection
        .prepare_cached("DELETE FROM log_ages WHERE seq <= ?1 AND seq < ?2")?
        .execute(params![through, old])?;
    Ok(pruned)
}
