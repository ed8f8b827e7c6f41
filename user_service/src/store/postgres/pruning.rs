//! Deletes data beyond its retention, a few rows at a time, so that no write waits long for it. Any
//! process may: it holds the log's lock.

use shared::postgres::{Session, Type};

use super::super::{Pruned, Retention};
use super::log_state::{LogState, stored_hash};
use super::{StoreError, responses};

/// How many records, and how many stored responses, one transaction deletes.
const CHUNK: i64 = 1_000;
/// How many positions with known ages are kept over the retention time: records are deleted in
/// steps of the retention time divided by this number.
const AGES: i64 = 256;

/// Prunes one chunk, in the caller's transaction.
pub(super) async fn prune(
    session: &Session,
    state: &mut LogState,
    retention: Retention,
    now_ms: i64,
) -> Result<Pruned, StoreError> {
    note_age(session, state, retention.age_ms, now_ms).await?;
    let records = prune_log(session, state, retention, now_ms).await?;
    let responses = responses::prune(session, now_ms, CHUNK).await?;
    let has_more = i64::try_from(records.max(responses)) == Ok(CHUNK);
    Ok(Pruned { records, responses, log_start_seq: state.start.seq, has_more })
}

/// Notes that every record that is in the log now is at least this old. A time in the future, from a
/// clock that was ahead, is corrected.
async fn note_age(
    session: &Session,
    state: &LogState,
    age_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    let correct = "UPDATE log_ages SET seen_ms = $1 WHERE seen_ms > $1";
    session.execute(correct, &[(&now_ms, Type::INT8)]).await?;
    let last = "SELECT seq, seen_ms FROM log_ages ORDER BY seq DESC LIMIT 1";
    let last: Option<(i64, i64)> = match session.query(last, &[]).await?.first() {
        Some(row) => Some((row.try_get(0)?, row.try_get(1)?)),
        None => None,
    };
    let end = state.end.seq;
    if last.is_none_or(|(seq, seen_ms)| seq < end && seen_ms + age_ms / AGES <= now_ms) {
        let note = "INSERT INTO log_ages (seq, seen_ms) VALUES ($1, $2)";
        session.execute(note, &[(&end, Type::INT8), (&now_ms, Type::INT8)]).await?;
    }
    Ok(())
}

async fn prune_log(
    session: &Session,
    state: &mut LogState,
    retention: Retention,
    now_ms: i64,
) -> Result<usize, StoreError> {
    let Retention { age_ms, rows } = retention;
    let since_ms = now_ms.saturating_sub(age_ms);
    let old = "SELECT max(seq), (SELECT seq FROM published) FROM log_ages WHERE seen_ms <= $1";
    let row = session.query_one(old, &[(&since_ms, Type::INT8)]).await?;
    let (old, published): (Option<i64>, i64) = (row.try_get(0)?, row.try_get(1)?);
    let old = old.unwrap_or(0);
    let newest = state.end.seq.saturating_sub(rows);
    let through = old.min(newest).min(published).min(state.start.seq + CHUNK);
    if through <= state.start.seq {
        return Ok(0);
    }
    // The hash of the last deleted record stays known: a follower there can continue from it.
    let Some(hash) = stored_hash(session, through).await? else { return Ok(0) };
    state.start = contract::Position { seq: through, hash };
    state.write(session).await?;
    let delete = "DELETE FROM user_log WHERE seq <= $1";
    let deleted = session.execute(delete, &[(&through, Type::INT8)]).await?;
    let forget = "DELETE FROM log_ages WHERE seq <= $1 AND seq < $2";
    session.execute(forget, &[(&through, Type::INT8), (&old, Type::INT8)]).await?;
    Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
}
