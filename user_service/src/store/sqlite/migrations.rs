//! The schema of the tables, and its migrations.

mod positions;

use std::fmt::Display;

use contract::{EventKind, Position, UserChange, UserId, UserState};
use rusqlite::{OptionalExtension, Transaction, params};
use rusqlite_migration::{HookError, HookResult, M, Migrations};
use serde::Deserialize;
use shared::identity::Username;
use shared::log_sync::record_hash;
use shared::sqlite::idempotency;

use super::{log, published};

/// All migrations, in order.
pub(super) fn all() -> Migrations<'static> {
    Migrations::new(vec![
        M::up(include_str!("../../../migrations/sqlite/0001_users.sql")),
        M::up(idempotency::SCHEMA),
        M::up(include_str!("../../../migrations/sqlite/0002_pruning_and_digest.sql")),
        M::up_with_hook(
            include_str!("../../../migrations/sqlite/0003_states_without_hashes.sql"),
            state_what_is_left,
        ),
        M::up(include_str!("../../../migrations/sqlite/0004_name_rules.sql")),
        M::up_with_hook(
            include_str!("../../../migrations/sqlite/0005_positions.sql"),
            positions::fill,
        ),
        M::up(include_str!("../../../migrations/sqlite/0006_rewinding.sql")),
        M::up(include_str!("../../../migrations/sqlite/0007_moving.sql")),
        M::up(include_str!("../../../migrations/sqlite/0008_administrators.sql")),
        M::up(include_str!("../../../migrations/sqlite/0009_log_name.sql")),
    ])
}

/// The data of a record before migration 0003: the user as the change left them, or as they were
/// deleted.
#[derive(Deserialize)]
struct FormerData {
    id: UserId,
    username: String,
    version: i64,
    password_version: i64,
}

/// A record before migration 0003.
struct FormerRecord {
    seq: i64,
    recorded_at_ms: i64,
    kind: String,
    data: String,
}

/// Deletes the records that the bus has confirmed, and rewrites the others without hashes, since
/// they must still be published. A follower that is behind the first rewritten record gets a
/// snapshot.
fn state_what_is_left(transaction: &Transaction<'_>) -> HookResult {
    let published = published::read(transaction).map_err(failed)?;
    let (start, end) =
        (log::start(transaction).map_err(failed)?, log::end(transaction).map_err(failed)?);
    if published.min(end.seq) > start.seq {
        log::delete_through(transaction, published.min(end.seq)).map_err(failed)?;
    }
    let mut last = log::start(transaction).map_err(failed)?;
    for former in former_records(transaction)? {
        let change = restate(transaction, &former)?;
        let data = serde_json::to_string(&change).map_err(failed)?;
        let FormerRecord { seq, recorded_at_ms, kind, .. } = former;
        let kind = EventKind::parse(&kind).ok_or_else(|| failed(format!("unknown kind {kind}")))?;
        let hash = record_hash(last.hash, seq, &kind, recorded_at_ms, &data);
        transaction.execute(
            "UPDATE user_log SET hash = ?2, data = ?3 WHERE seq = ?1",
            params![seq, hash.0, data],
        )?;
        last = Position { seq, hash };
    }
    Ok(())
}

fn former_records(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<FormerRecord>> {
    let sql = "SELECT seq, recorded_at_ms, kind, data FROM user_log ORDER BY seq";
    let mut statement = transaction.prepare(sql)?;
    let records = statement.query_map([], |row| {
        Ok(FormerRecord {
            seq: row.get(0)?,
            recorded_at_ms: row.get(1)?,
            kind: row.get(2)?,
            data: row.get(3)?,
        })
    })?;
    records.collect()
}

fn restate(transaction: &Transaction<'_>, former: &FormerRecord) -> Result<UserChange, HookError> {
    let FormerData { id, username, version, password_version } =
        serde_json::from_str(&former.data).map_err(failed)?;
    if former.kind == EventKind::DELETED.as_str() {
        return Ok(UserChange { id, user: None, written_by: None });
    }
    let username_key = key_of(transaction, id, &username)?;
    let (stamp, is_admin) = (None, false);
    let state = UserState { username, username_key, version, password_version, stamp, is_admin };
    Ok(UserChange { id, user: Some(state), written_by: None })
}

/// The compared form of a name: the stored one if the user still has the name, because today's
/// rules must not judge an accepted name again.
fn key_of(transaction: &Transaction<'_>, id: UserId, username: &str) -> rusqlite::Result<String> {
    let stored = transaction
        .query_row(
            "SELECT username_key FROM users WHERE id = ?1 AND username = ?2",
            params![id.0, username],
            |row| row.get(0),
        )
        .optional()?;
    Ok(stored.unwrap_or_else(|| Username::key_today(username)))
}

fn failed(error: impl Display) -> HookError {
    HookError::Hook(error.to_string())
}
