//! The records of the log, and the events that carry them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cursor::RecordHash;
use super::user::UserId;

/// What happened to a user: the CloudEvents `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A user exists from here on.
    #[serde(rename = "user.created.v1")]
    Created,
    /// The name, the password or the form of its hash changed.
    #[serde(rename = "user.updated.v1")]
    Updated,
    /// The user is gone; the id is never used again.
    #[serde(rename = "user.deleted.v1")]
    Deleted,
}

impl EventKind {
    /// The CloudEvents `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "user.created.v1",
            Self::Updated => "user.updated.v1",
            Self::Deleted => "user.deleted.v1",
        }
    }

    /// The routing key on the topic exchange.
    pub fn routing_key(self) -> &'static str {
        match self {
            Self::Created => "user.created",
            Self::Updated => "user.updated",
            Self::Deleted => "user.deleted",
        }
    }

    /// The kind of that CloudEvents `type`, or nothing.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Created, Self::Updated, Self::Deleted].into_iter().find(|k| k.as_str() == text)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One record of the log. What `chain` covers never changes after it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogRecord {
    /// Its place: dense, from 1.
    pub seq: i64,
    /// The chain of the record before it.
    pub previous: RecordHash,
    /// The chain over `previous`, `seq`, `kind`, `recorded_at_ms` and `data`.
    pub chain: RecordHash,
    /// What happened.
    pub kind: EventKind,
    /// When it was committed, in milliseconds since 1970 (UTC).
    pub recorded_at_ms: i64,
    /// W3C trace context of the request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// [`UserData`] as JSON text, byte for byte as it was written to the log.
    pub data: String,
}

/// The data of an event: the user as the change left it.
///
/// Readers take members that they do not know as absent, so members may be added within `v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserData {
    /// The user.
    pub id: UserId,
    /// The name as it was given, in NFC.
    pub username: String,
    /// Counts the user's changes, from 1. Making a hash anew does not count.
    pub version: i64,
    /// Counts the user's passwords, from 1: tokens of an older one are dead.
    pub password_version: i64,
    /// The Argon2id hash in PHC form, sealed for auth_service; absent when the user is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
}

/// Names of the AMQP headers that carry a CloudEvent in binary mode (CloudEvents AMQP binding).
pub mod header {
    /// CloudEvents version, always [`super::SPEC_VERSION`].
    pub const SPEC_VERSION: &str = "cloudEvents_specversion";
    /// CloudEvents `id`: the record's chain.
    pub const ID: &str = "cloudEvents_id";
    /// CloudEvents `source`.
    pub const SOURCE: &str = "cloudEvents_source";
    /// CloudEvents `type`.
    pub const TYPE: &str = "cloudEvents_type";
    /// CloudEvents `time`, RFC 3339.
    pub const TIME: &str = "cloudEvents_time";
    /// Distributed tracing extension.
    pub const TRACEPARENT: &str = "cloudEvents_traceparent";
    /// Sequence extension: `seq` in decimal.
    pub const SEQUENCE: &str = "cloudEvents_sequence";
    /// Ours: the [`super::super::Incarnation`].
    pub const INCARNATION: &str = "cloudEvents_incarnation";
    /// Ours: the chain of the record before.
    pub const PREVIOUS: &str = "cloudEvents_previous";
}

/// The CloudEvents version that we speak.
pub const SPEC_VERSION: &str = "1.0";
/// The CloudEvents `source` of user_service.
pub const SOURCE: &str = "/lockstep/user_service";
