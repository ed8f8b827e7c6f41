//! Deletes data beyond its retention, a few rows at a time, so that no write waits long for it.
//! The process with the publisher's lease does it.

use shared::postgres::{Session, Type};

use super::super::{Pruned, Retention};
use super::log_state::{LogState, stored_hash};
use super::{StoreError, responses};

/// Prunes one chunk, in the caller's transaction.
pub(super) async fn prune(
    session: &Session,
    state: &mut LogState,
    retention: Retention,
    now_ms: i64,
) -> Result<Pruned, StoreError> {
    note_age(session, state, retention, now_ms).await?;
    let records = prune_log(session, state, retention, now_ms).await?;
    let responses = responses::prune(session, now_ms, Retention::CHUNK.into()).await?;
    let has_more = records.max(responses) == usize::from(Retention::CHUNK);
    Ok(Pruned { records, responses, log_start_seq: state.start.seq, has_more })
}

/// Notes that every record that is in the log now is at least this old. A time in the future, from a
/// clock that was ahead, is corrected.
async fn note_age(
    session: &Session,
    state: &LogState,
    retention: Retention,
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
    if retention.wants_age(last, end, now_ms) {
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
    let since_ms = now_ms.saturating_sub(retention.age_ms);
    let old = "SELECT max(seq), (SELECT seq FROM published) FROM log_ages WHERE seen_ms <= $1";
    let row = session.query_one(old, &[(&since_ms, Type::INT8)]).await?;
    let (old, published): (Option<i64>, i64) = (row.try_get(0)?, row.try_get(1)?);
    let old = old.unwrap_or(0);
    let ends = (state.start.seq, state.end.seq);
    let through = retention.prunes_through(old, ends, published);
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
