//! Deletes data beyond its retention, a few rows at a time, so that no write waits long for it.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use shared::sqlite::idempotency;

use super::super::{Pruned, Retention};
use super::{StoreError, log, published};

/// How many records, and how many stored responses, one transaction deletes.
const CHUNK: u32 = 1_000;
/// How many positions with known ages are kept over the retention time: records are deleted in
/// steps of the retention time divided by this number.
const AGES: i64 = 256;

/// Prunes one chunk, in a separate transaction.
pub(super) fn prune(
    connection: &mut Connection,
    retention: Retention,
    now_ms: i64,
) -> Result<Pruned, StoreError> {
    let behavior = TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(behavior)?;
    note_age(&transaction, retention.age_ms, now_ms)?;
    let records = prune_log(&transaction, retention, now_ms)?;
    let responses = idempotency::prune(&transaction, now_ms, CHUNK)?;
    let log_start_seq = log::start(&transaction)?.seq;
    transaction.commit()?;
    let has_more = records.max(responses) == CHUNK as usize;
    Ok(Pruned { records, responses, log_start_seq, has_more })
}

/// Notes that every record that is in the log now is at least this old.
///
/// The times inside the records are not used: if the clock was once ahead, records from then would
/// never be deleted. Here a time in the future is corrected as soon as it is seen.
fn note_age(connection: &Connection, age_ms: i64, now_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE log_ages SET seen_ms = ?1 WHERE seen_ms > ?1")?
        .execute([now_ms])?;
    let last: Option<(i64, i64)> = connection
        .prepare_cached("SELECT seq, seen_ms FROM log_ages ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let end = log::end(connection)?.seq;
    let is_due = last.is_none_or(|(seq, seen_ms)| seq < end && seen_ms + age_ms / AGES <= now_ms);
    if is_due {
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
    let Retention { age_ms, rows } = retention;
    let since_ms = now_ms.saturating_sub(age_ms);
    let old: Option<i64> = connection
        .prepare_cached("SELECT max(seq) FROM log_ages WHERE seen_ms <= ?1")?
        .query_row([since_ms], |row| row.get(0))?;
    let start = log::start(connection)?.seq;
    let newest = log::end(connection)?.seq.saturating_sub(rows);
    let through = old
        .unwrap_or(0)
        .min(newest)
        .min(published::read(connection)?)
        .min(start + i64::from(CHUNK));
    if through <= start {
        return Ok(0);
    }
    let pruned = log::delete_through(connection, through)?;
    connection
        .prepare_cached("DELETE FROM log_ages WHERE seq <= ?1 AND seq < ?2")?
        .execute(params![through, old])?;
    Ok(pruned)
}
