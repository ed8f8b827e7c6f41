//! The hash that distinguishes two logs.

use aws_lc_rs::digest::{Context, SHA256};

use contract::{EventKind, LogRecord, Position, RecordHash};

/// The hash of the record that comes after the one with `prev_hash`.
///
/// Every part has a fixed length or is preceded by its length, so no two records give the same
/// bytes.
pub fn record_hash(
    prev_hash: RecordHash,
    seq: i64,
    kind: &EventKind,
    recorded_at_ms: i64,
    data: &str,
) -> RecordHash {
    let mut context = Context::new(&SHA256);
    context.update(&prev_hash.0);
    context.update(&seq.to_be_bytes());
    context.update(&recorded_at_ms.to_be_bytes());
    for text in [kind.as_str(), data] {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut hash = RecordHash::default();
    hash.0.copy_from_slice(&context.finish().as_ref()[..16]);
    hash
}

/// Whether the record's hash matches its content.
pub fn is_intact(record: &LogRecord) -> bool {
    let LogRecord { position, prev_hash, kind, recorded_at_ms, data, .. } = record;
    record_hash(*prev_hash, position.seq, kind, *recorded_at_ms, data) == position.hash
}

/// Whether `record` is the next one after `at` and is undamaged.
pub fn follows(at: Position, record: &LogRecord) -> bool {
    record.position.seq == at.seq + 1 && record.prev_hash == at.hash && is_intact(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_record_changes_its_hash() {
        let of =
            |prev, seq, kind, at, data| record_hash(RecordHash([prev; 16]), seq, &kind, at, data);
        let base = of(0, 1, EventKind::CREATED, 5, "{}");
        let others = [
            of(1, 1, EventKind::CREATED, 5, "{}"),
            of(0, 2, EventKind::CREATED, 5, "{}"),
            of(0, 1, EventKind::UPDATED, 5, "{}"),
            of(0, 1, EventKind::CREATED, 6, "{}"),
            of(0, 1, EventKind::CREATED, 5, "{ }"),
        ];
        for other in others {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_hash_of_a_known_record_never_changes() {
        // Printed by `sha256sum` over the same bytes: it pins the format of all existing logs.
        let at = 1_700_000_000_000;
        let hash = record_hash(RecordHash::default(), 1, &EventKind::CREATED, at, "{}");
        assert_eq!(hash.to_string(), "4d1b5b278e47dee2ce45490f7d3e7058");
    }
}
