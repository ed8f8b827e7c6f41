//! Migration 0005: the positions of rows that were written before rows had them.

use std::collections::HashMap;

use contract::{EventKind, Position, UserChange};
use rusqlite::{Connection, Transaction, params};
use rusqlite_migration::HookResult;
use serde_json::{Value, json};
use shared::log_sync::record_hash;

use super::super::log;
use super::failed;

/// The latest versions of one user that the log tells of, and where it first does.
struct Traces {
    version: i64,
    changed: Position,
    password_version: i64,
    stamp: Position,
}

/// Gives each user and each stored response the position of its record. That record may be gone,
/// since the log is pruned. Then the position is one that no record has, and that is the same
/// however often the same file is migrated (see [`outside_the_log`]).
pub(super) fn fill(transaction: &Transaction<'_>) -> HookResult {
    let end = log::end(transaction).map_err(failed)?;
    let traces = traces(transaction)?;
    let sql = "SELECT id, version, password_version FROM users";
    let mut users = transaction.prepare(sql)?;
    let users = users.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut fill =
        transaction.prepare("UPDATE users SET changed = ?2, stamp = ?3 WHERE id = ?1")?;
    for user in users {
        let (id, version, password_version): (i64, i64, i64) = user?;
        let known = traces.get(&id);
        let changed = known
            .filter(|known| known.version == version)
            .map_or_else(|| outside_the_log(end, &json!([id, "changed", version])), |k| k.changed);
        let stamp = known.filter(|known| known.password_version == password_version).map_or_else(
            || outside_the_log(end, &json!([id, "stamp", password_version])),
            |known| known.stamp,
        );
        fill.execute(params![id, changed.to_bytes(), stamp.to_bytes()])?;
    }
    fill_responses(transaction, end)
}

/// If the front of the log was pruned, the first record of a version may be a rehash and not the
/// change itself. It is as good: no other record has its position either.
fn traces(
    transaction: &Transaction<'_>,
) -> Result<HashMap<i64, Traces>, rusqlite_migration::HookError> {
    let mut statement = transaction.prepare("SELECT seq, hash, data FROM user_log ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut traces: HashMap<i64, Traces> = HashMap::new();
    while let Some(row) = rows.next()? {
        let position = log::to_position(row)?;
        let data: String = row.get(2)?;
        let change: UserChange = serde_json::from_str(&data).map_err(failed)?;
        let Some(state) = change.user else { continue };
        let known = traces.entry(change.id.0).or_insert(Traces {
            version: state.version,
            changed: position,
            password_version: state.password_version,
            stamp: position,
        });
        if known.version != state.version {
            (known.version, known.changed) = (state.version, position);
        }
        if known.password_version != state.password_version {
            (known.password_version, known.stamp) = (state.password_version, position);
        }
    }
    Ok(traces)
}

/// A position that names what no record of the log names: it ends where the log ends now, and its
/// hash is that of `what` behind the log's last record. A later record has a greater `seq`.
fn outside_the_log(end: Position, what: &Value) -> Position {
    let hash = record_hash(end.hash, end.seq, &EventKind::UPDATED, 0, &what.to_string());
    Position { hash, ..end }
}

/// The response to a repeated creation tells a Consistency-Token, which must be on the log. If the
/// record is gone, the end of the log is: who has reached it knows of the creation.
fn fill_responses(connection: &Connection, end: Position) -> HookResult {
    let sql = "SELECT scope, key, outcome FROM idempotency_keys";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut filled = Vec::new();
    while let Some(row) = rows.next()? {
        let (scope, key, outcome): (String, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let mut outcome: Value = serde_json::from_str(&outcome).map_err(failed)?;
        let Some(created) = outcome.get_mut("created").and_then(Value::as_object_mut) else {
            continue;
        };
        let seq = created.get("seq").and_then(Value::as_i64).unwrap_or_default();
        let hash = log::hash_at(connection, seq).map_err(failed)?;
        let Position { seq, hash } = hash.map_or(end, |hash| Position { seq, hash });
        created.insert("seq".to_owned(), json!(seq));
        created.insert("hash".to_owned(), json!(hash));
        filled.push((scope, key, outcome.to_string()));
    }
    for (scope, key, outcome) in filled {
        let sql = "UPDATE idempotency_keys SET outcome = ?3 WHERE (scope, key) = (?1, ?2)";
        connection.execute(sql, params![scope, key, outcome])?;
    }
    Ok(())
}
