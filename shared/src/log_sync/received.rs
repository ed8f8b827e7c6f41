//! The input of a follower: messages that were authenticated and decoded once.
//!
//! Only the codec (`bus::cloud_event`) makes them in production. It has checked each record's hash
//! and read each record's data.

use contract::{Cursor, Incarnation, Position, RecordData, RecordHash, SealedHash};

/// A record whose hash matches its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReceivedRecord {
    /// Its position.
    pub position: Position,
    /// The hash of the record before it.
    pub prev_hash: RecordHash,
    /// What the record leaves; `None` if this version cannot read it.
    pub data: Option<RecordData>,
    /// The hash of the record's password, if it is still the user's current one.
    pub sealed_hash: Option<SealedHash>,
    /// W3C trace context of what caused it.
    pub traceparent: Option<String>,
}

impl ReceivedRecord {
    /// Whether it is the record that comes next after `at`.
    pub fn follows(&self, at: Position) -> bool {
        self.position.seq == at.seq + 1 && self.prev_hash == at.hash
    }
}

/// A record's data, ready to be written to the projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextChange {
    /// The record's position.
    pub position: Position,
    /// The hash of the record before it.
    pub prev_hash: RecordHash,
    /// What the record leaves.
    pub data: RecordData,
    /// The hash of the record's password, if it is still the user's current one.
    pub sealed_hash: Option<SealedHash>,
    /// W3C trace context of what caused it.
    pub traceparent: Option<String>,
}

/// The records after a cursor (`contract::Continue`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReceivedContinue {
    /// The question's nonce.
    pub nonce: String,
    /// The cursor that the question contained.
    pub at: Cursor,
    /// The run of user_service that vouches for `at` and the records.
    pub incarnation: Incarnation,
    /// Some or all of the records after `at`, without a gap.
    pub records: Vec<ReceivedRecord>,
    /// The sequence number of the log's last record at the time of the answer.
    pub head_seq: i64,
}
