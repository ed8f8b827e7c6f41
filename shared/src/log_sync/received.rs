//! What a follower takes in: messages that were authenticated and decoded, once.
//!
//! Only the codec (`bus::cloud_event`) makes them in production. It has checked each record's hash
//! and read each record's data.

use contract::{Cursor, Incarnation, Position, RecordHash, SealedHash, UserChange};

/// A record whose hash is that of its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReceivedRecord {
    /// Its place.
    pub position: Position,
    /// The hash of the record before it.
    pub prev_hash: RecordHash,
    /// What it leaves of a user; nothing if this version cannot read it.
    pub change: Option<UserChange>,
    /// The hash of the password that the change states, if it is the user's present one.
    pub sealed_hash: Option<SealedHash>,
}

impl ReceivedRecord {
    /// Whether it is the record that comes next after `at`.
    pub fn follows(&self, at: Position) -> bool {
        self.position.seq == at.seq + 1 && self.prev_hash == at.hash
    }
}

/// A record's change, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextChange {
    /// The record's place.
    pub position: Position,
    /// The hash of the record before it.
    pub prev_hash: RecordHash,
    /// What it leaves of a user.
    pub change: UserChange,
    /// The hash of the password that the change states, if it is the user's present one.
    pub sealed_hash: Option<SealedHash>,
}

/// The records after a cursor (`contract::Continue`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReceivedContinue {
    /// The question's.
    pub nonce: String,
    /// The cursor that it was asked for.
    pub at: Cursor,
    /// The run of user_service that vouches for `at` and the records.
    pub incarnation: Incarnation,
    /// Some or all of the records after `at`, without a gap.
    pub records: Vec<ReceivedRecord>,
    /// The last record's number when this was answered.
    pub head_seq: i64,
}
