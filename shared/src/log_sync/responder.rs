//! How the owner of the log answers a follower.

use contract::{Position, RecordHash, SyncRequest};

/// The kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The records after the follower's cursor.
    Continue,
    /// All users in their current state.
    Snapshot(SnapshotReason),
}

/// Why a snapshot is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotReason {
    /// The follower accepts only a snapshot.
    Wanted,
    /// The cursor belongs to another history, or its record was pruned.
    NotOnTheLog,
    /// The follower is so far behind that a snapshot is probably shorter.
    FarBehind,
}

impl SnapshotReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Wanted, Self::NotOnTheLog, Self::FarBehind];

    /// The reason as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::NotOnTheLog => "not_on_the_log",
            Self::FarBehind => "far_behind",
        }
    }
}

/// Decides from the follower's question, the end of the log, and the log's hash at the follower's
/// `seq` (`None` if that record was pruned or never existed).
///
/// A follower that is more than `replay_limit` records behind gets a snapshot, which is assumed to
/// be shorter.
pub fn decide(
    request: &SyncRequest,
    head: Position,
    hash_there: Option<RecordHash>,
    replay_limit: i64,
) -> Decision {
    if request.snapshot {
        Decision::Snapshot(SnapshotReason::Wanted)
    } else if hash_there != Some(request.cursor.position.hash) {
        Decision::Snapshot(SnapshotReason::NotOnTheLog)
    } else if head.seq - request.cursor.position.seq > replay_limit {
        Decision::Snapshot(SnapshotReason::FarBehind)
    } else {
        Decision::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Cursor;

    fn ask(seq: i64, hash: u8) -> SyncRequest {
        let position = Position { seq, hash: RecordHash([hash; 16]) };
        let cursor = Cursor { position, ..Cursor::default() };
        SyncRequest {
            nonce: "n".into(),
            reply_to: "q".into(),
            cursor,
            snapshot: false,
            credit: None,
            highest_id: None,
        }
    }

    fn head(seq: i64) -> Position {
        Position { seq, ..Position::default() }
    }

    #[test]
    fn a_cursor_on_the_log_is_continued() {
        let there = Some(RecordHash([7; 16]));
        assert_eq!(decide(&ask(5, 7), head(9), there, 100), Decision::Continue);
    }

    #[test]
    fn a_cursor_that_diverged_was_pruned_or_lies_too_far_back_gets_a_snapshot() {
        let reason_of = |head_seq, there| match decide(&ask(5, 7), head(head_seq), there, 100) {
            Decision::Snapshot(reason) => Some(reason),
            Decision::Continue => None,
        };
        assert_eq!(reason_of(9, Some(RecordHash([8; 16]))), Some(SnapshotReason::NotOnTheLog));
        assert_eq!(reason_of(9, None), Some(SnapshotReason::NotOnTheLog));
        assert_eq!(reason_of(900, Some(RecordHash([7; 16]))), Some(SnapshotReason::FarBehind));
    }

    #[test]
    fn a_follower_that_cannot_apply_what_comes_next_gets_a_snapshot() {
        let request = SyncRequest { snapshot: true, ..ask(5, 7) };
        let decision = decide(&request, head(9), Some(RecordHash([7; 16])), 100);
        assert_eq!(decision, Decision::Snapshot(SnapshotReason::Wanted));
    }
}
