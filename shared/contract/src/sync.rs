//! How a follower of the log notices that it lacks something, and gets it.
//!
//! `Head` reveals a lost tail, `SyncRequest` asks, `Continue` or `SnapshotPart`s answer. All travel
//! as JSON. [`shared::log_sync::Follower`] decides what to do with them.

use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, Incarnation, Position, UsersChecksum};
use super::event::{SealedHash, SentRecord, UserState};
use super::user::UserId;

/// Where the log ends: sent every second and after each burst of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// The run of user_service that says so.
    pub incarnation: Incarnation,
    /// The place behind the last record.
    #[serde(flatten)]
    pub position: Position,
    /// The checksum over all users there, if the sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<UsersChecksum>,
}

impl Head {
    /// The end of the log as a cursor.
    pub fn cursor(&self) -> Cursor {
        Cursor { incarnation: self.incarnation, position: self.position }
    }
}

/// "Send me what comes after `cursor`, to the queue `reply_to`."
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SyncRequest {
    /// Tells the answers to this question from those to another.
    pub nonce: String,
    /// The queue that takes the answer.
    pub reply_to: String,
    /// Where the follower stands; the default cursor if it has nothing.
    pub cursor: Cursor,
    /// The follower could not apply what comes next: only a snapshot helps.
    #[serde(default)]
    pub snapshot: bool,
}

/// The answer to a [`SyncRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum SyncAnswer {
    /// The cursor is on the log: go on from there.
    Continue(Continue),
    /// The cursor is not on the log, or too far back: start anew from this.
    Snapshot(SnapshotPart),
}

/// The records after a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Continue {
    /// The question's.
    pub nonce: String,
    /// The cursor that it was asked for: it is only good for a follower that is still there.
    pub at: Cursor,
    /// The run of user_service that vouches for `at` and the records.
    pub incarnation: Incarnation,
    /// Some or all of the records after `at`, without a gap.
    pub records: Vec<SentRecord>,
    /// The last record's number when this was answered: if it is further on than `records`, ask
    /// again.
    pub head_seq: i64,
}

/// One part of all users at one place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotPart {
    /// The question's.
    pub nonce: String,
    /// The place in the log that the users are read at, the same in all parts.
    pub as_of: Cursor,
    /// Counts from 1.
    pub part: u32,
    /// How many parts there are: at least one.
    pub parts: u32,
    /// Users of this part, in order of their ids.
    pub users: Vec<SnapshotUser>,
    /// The checksum over the users of all parts, if the sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<UsersChecksum>,
}

/// One user of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotUser {
    /// The user.
    pub id: UserId,
    /// Everything but the hash.
    pub state: UserState,
    /// The hash of the present password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_hash: Option<SealedHash>,
}
