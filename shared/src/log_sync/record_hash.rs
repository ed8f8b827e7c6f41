//! The chain that tells two logs apart.

use aws_lc_rs::digest::{Context, SHA256};

use contract::{Cursor, EventKind, LogRecord, RecordHash};

/// The chain after one more record.
///
/// Every part has a fixed length or its length before it, so no two records read the same.
pub fn extend(
    previous: RecordHash,
    seq: i64,
    kind: EventKind,
    recorded_at_ms: i64,
    data: &str,
) -> RecordHash {
    let mut context = Context::new(&SHA256);
    context.update(&previous.0);
    context.update(&seq.to_be_bytes());
    context.update(&recorded_at_ms.to_be_bytes());
    for text in [kind.as_str(), data] {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut chain = RecordHash::default();
    chain.0.copy_from_slice(&context.finish().as_ref()[..16]);
    chain
}

/// Whether `record` is the one that comes next after `cursor`, unharmed.
pub fn follows(cursor: &Cursor, record: &LogRecord) -> bool {
    record.seq == cursor.seq + 1 && record.previous == cursor.chain && is_intact(record)
}

fn is_intact(record: &LogRecord) -> bool {
    let LogRecord { seq, previous, kind, recorded_at_ms, data, .. } = record;
    extend(*previous, *seq, *kind, *recorded_at_ms, data) == record.chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_record_changes_its_chain() {
        let base = extend(RecordHash::default(), 1, EventKind::Created, 5, "{}");
        let others = [
            extend(RecordHash([1; 16]), 1, EventKind::Created, 5, "{}"),
            extend(RecordHash::default(), 2, EventKind::Created, 5, "{}"),
            extend(RecordHash::default(), 1, EventKind::Updated, 5, "{}"),
            extend(RecordHash::default(), 1, EventKind::Created, 6, "{}"),
            extend(RecordHash::default(), 1, EventKind::Created, 5, "{ }"),
        ];
        for other in others {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_chain_of_a_known_record_never_changes() {
        // Printed by `sha256sum` over the same bytes: it pins the format of all existing logs.
        let chain = extend(RecordHash::default(), 1, EventKind::Created, 1_700_000_000_000, "{}");
        assert_eq!(chain.to_string(), "4d1b5b278e47dee2ce45490f7d3e7058");
    }
}
