//! How a follower of the log detects missing records and requests them, and what else auth_service
//! sends to user_service.
//!
//! `Head` reveals missing records at the end of the log, `SyncRequest` asks for them, and
//! `Continue` or `SnapshotPart`s answer. All are sent as JSON. [`shared::log_sync::Follower`]
//! decides what to do with them.

use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, Incarnation, LogName, Position, UsersChecksum};
use super::event::{SealedHash, SentRecord, UserState};
use super::user::UserId;

/// The end of the log: sent every second and after each burst of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// The run of user_service that sends this.
    pub incarnation: Incarnation,
    /// The position after the last record.
    #[serde(flatten)]
    pub position: Position,
    /// The checksum over all users there, if the sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<UsersChecksum>,
    /// Which log it is; absent from versions that do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogName>,
}

impl Head {
    /// The end of the log as a cursor.
    pub fn cursor(&self) -> Cursor {
        Cursor { incarnation: self.incarnation, position: self.position }
    }
}

/// "Send me what comes after `cursor`, to `reply_to`." While a snapshot is loaded, the same question
/// is sent again for each further group of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SyncRequest {
    /// Identifies the question: the answers carry it, too.
    pub nonce: String,
    /// Names the follower: the queue that takes the answer, where it comes through the broker.
    pub reply_to: String,
    /// The follower's cursor; the default cursor if it has no data.
    pub cursor: Cursor,
    /// The follower cannot continue from its data: only a snapshot helps.
    #[serde(default)]
    pub snapshot: bool,
    /// Which parts of a snapshot may be sent now. Absent from followers that take all of them at
    /// once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<Credit>,
    /// The highest id of a user that the follower has ever seen; absent from followers that do not
    /// tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_id: Option<UserId>,
}

/// How much of a snapshot a follower is ready to take, so that no snapshot lies whole in a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Credit {
    /// The last part that the follower has; 0 before the first. With more than 0 the question goes on
    /// with the snapshot of its `nonce`, if the responder still has it.
    pub after: u32,
    /// How many parts may be sent after that.
    pub parts: u32,
}

impl Credit {
    /// Everything at once.
    pub const ALL: Self = Self { after: 0, parts: u32::MAX };

    /// The last part that may be sent.
    pub fn through(self) -> u32 {
        self.after.saturating_add(self.parts)
    }
}

/// The answer to a [`SyncRequest`]. A receiver first reads each `User` as any JSON, so that one that
/// it does not understand does not cost the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum SyncAnswer<User = SnapshotUser> {
    /// The cursor is on the log: continue from there.
    Continue(Continue),
    /// The cursor is not on the log, or too far back: start again from this snapshot.
    Snapshot(SnapshotPart<User>),
}

/// The records after a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Continue {
    /// The question's nonce.
    pub nonce: String,
    /// The cursor that the question contained: the answer is only valid for a follower that is
    /// still there.
    pub at: Cursor,
    /// The run of user_service that vouches for `at` and the records.
    pub incarnation: Incarnation,
    /// Some or all of the records after `at`, without a gap.
    pub records: Vec<SentRecord>,
    /// The sequence number of the log's last record at the time of the answer. If it is beyond
    /// `records`, the follower asks again.
    pub head_seq: i64,
}

/// One part of a snapshot: of all users at one position of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotPart<User = SnapshotUser> {
    /// The question's nonce.
    pub nonce: String,
    /// The position at which the users were read, the same in all parts.
    pub as_of: Cursor,
    /// Counts from 1.
    pub part: u32,
    /// How many parts there are: at least one.
    pub parts: u32,
    /// The last part that is sent before the follower asks for more; absent if all of them are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_through: Option<u32>,
    /// Users of this part, in order of their ids.
    pub users: Vec<User>,
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
    /// The hash of the current password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_hash: Option<SealedHash>,
}

/// "I rehashed this password at a login with the current parameters: store this hash instead."
///
/// Losing it is harmless: the next login makes it again. It is applied only if the password has not
/// changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRehashed {
    /// The user who logged in.
    pub id: UserId,
    /// The version of the password that was verified; the sealed hash is bound to it.
    pub password_version: i64,
    /// The user's security stamp: which password that was, also if the log was restored meanwhile
    /// and counts the same version for another one. Absent from versions that knew no stamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Position>,
    /// Names the hash that was verified, by the first 16 bytes of its SHA-256 in hex: the new one
    /// replaces that and no other, so it is stored once, however often this is sent. Absent from
    /// versions that did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The new Argon2id hash.
    pub sealed_hash: SealedHash,
}

/// "End all sessions of this user, if this is still the security stamp."
///
/// The record that the command leaves in the log is the answer. A command that comes again, or late,
/// finds another stamp and does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndSessions {
    /// The user.
    pub id: UserId,
    /// The stamp that the sessions to be ended were begun with.
    pub stamp: Position,
}
