//! The next record of the log.

use std::sync::Arc;

use contract::{EventKind, Incarnation, LogRecord, Position, RecordData};
use shared::log_sync::record_hash;

use super::StoreError;

/// The record that follows `end`, with this data, written by `run`.
pub(super) fn following(
    end: Position,
    kind: &EventKind,
    data: RecordData,
    run: Incarnation,
    recorded_at_ms: i64,
    traceparent: Option<&str>,
) -> Result<LogRecord, StoreError> {
    let data = serde_json::to_string(&data.written_by(run))
        .map_err(|error| StoreError::Failed(Arc::new(error)))?;
    let Position { seq, hash: prev_hash } = end;
    let seq = seq + 1;
    let hash = record_hash(prev_hash, seq, kind, recorded_at_ms, &data);
    Ok(LogRecord {
        position: Position { seq, hash },
        prev_hash,
        kind: kind.clone(),
        recorded_at_ms,
        traceparent: traceparent.map(str::to_owned),
        data,
    })
}
