//! The records of the log, and the events that carry them.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::cursor::{Incarnation, Position, RecordHash};
use super::user::UserId;

/// Longest [`EventKind`], in bytes: its routing key must fit into AMQP's 255.
const KIND_BYTES_MAX: usize = 64;

/// What happened to a user, such as `user.created.v1`: the CloudEvents `type`.
///
/// It is only a name. The effect of a record follows from its [`UserChange`], so a follower can
/// apply kinds that it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct EventKind(Cow<'static, str>);

impl EventKind {
    /// A user was created.
    pub const CREATED: Self = Self(Cow::Borrowed("user.created.v1"));
    /// The name, the password or the form of its hash changed.
    pub const UPDATED: Self = Self(Cow::Borrowed("user.updated.v1"));
    /// The user was deleted; the id is never used again.
    pub const DELETED: Self = Self(Cow::Borrowed("user.deleted.v1"));
    /// The log went back: see [`LogRewound`].
    pub const REWOUND: Self = Self(Cow::Borrowed("log.rewound.v1"));

    /// All sessions of the user were ended: the record is the new security stamp, and nothing else
    /// changed.
    pub const SESSIONS_ENDED: Self = Self(Cow::Borrowed("user.sessions_ended.v1"));
    /// The user became an administrator or is one no longer. All their sessions were ended, so the
    /// record is the new security stamp.
    pub const ROLE_CHANGED: Self = Self(Cow::Borrowed("user.role_changed.v1"));

    /// Parses words between dots and a version, such as `user.locked.v9`; `None` if it is malformed
    /// or too long. Words consist of `a-z`, `0-9` and `_`.
    pub fn parse(text: &str) -> Option<Self> {
        let (words, version) = text.rsplit_once(".v")?;
        let is_number = |digits: &str| {
            !digits.is_empty()
                && !digits.starts_with('0')
                && digits.bytes().all(|b| b.is_ascii_digit())
        };
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let is_well_formed =
            text.len() <= KIND_BYTES_MAX && is_number(version) && words.split('.').all(is_word);
        is_well_formed.then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// The CloudEvents `type`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The routing key on the topic exchange: the kind without its version.
    pub fn routing_key(&self) -> &str {
        self.0.rsplit_once(".v").map_or(&self.0, |(words, _)| words)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a kind of event"))
    }
}

/// One record of the log. The content that its hash covers never changes after it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogRecord {
    /// Its position: `seq` has no gaps and starts at 1; `hash` covers `prev_hash`, `seq`,
    /// `recorded_at_ms`, `kind` and `data`.
    #[serde(flatten)]
    pub position: Position,
    /// The hash of the record before it.
    pub prev_hash: RecordHash,
    /// What happened.
    pub kind: EventKind,
    /// When it was committed, in milliseconds since 1970 (UTC).
    pub recorded_at_ms: i64,
    /// W3C trace context of the request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// [`RecordData`] as JSON text, byte for byte as it was written to the log. It contains no
    /// password hash.
    pub data: String,
}

/// What a record leaves. The form of the data tells which it is, not the kind of the event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum RecordData {
    /// The state of one user.
    User(UserChange),
    /// New security stamps of all users.
    Rewound(LogRewound),
}

impl RecordData {
    /// The state of one user, if it is that.
    pub fn user(&self) -> Option<&UserChange> {
        match self {
            Self::User(change) => Some(change),
            Self::Rewound(_) => None,
        }
    }

    /// The same, written by this run of user_service.
    #[must_use]
    pub fn written_by(mut self, run: Incarnation) -> Self {
        match &mut self {
            Self::User(UserChange { written_by, .. })
            | Self::Rewound(LogRewound { written_by, .. }) => *written_by = Some(run),
        }
        self
    }
}

impl From<UserChange> for RecordData {
    fn from(change: UserChange) -> Self {
        Self::User(change)
    }
}

/// The log was found to have gone back: records that were once in it are not. From this record on
/// its position is the security stamp of every user, until a later record sets a password.
///
/// It contains no member `user`, so a version that does not know it cannot read it, and asks for a
/// snapshot, which contains the stamps.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogRewound {
    /// Ids up to this one are never given to a new user: users of the lost records may have had them.
    pub ids_through: i64,
    /// The run of user_service that wrote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<Incarnation>,
}

/// The state of one user after a record.
///
/// Readers ignore members that they do not know, so new members may be added within `v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserChange {
    /// The user.
    pub id: UserId,
    /// The whole user after the change; `null` if the user was deleted. It is required: this
    /// version cannot read a change without it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub user: Option<UserState>,
    /// The run of user_service that wrote the record. It is random, so two histories of a log
    /// never contain the same record, not even of the same change at the same time. Absent from
    /// records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<Incarnation>,
}

/// Everything that other services may know of a user, except the password hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserState {
    /// The name as it was given, in NFC.
    pub username: String,
    /// The compared form of the name: equal for two names if and only if they are the same name.
    /// Followers compare by it and do not normalize stored names themselves.
    pub username_key: String,
    /// Counts the user's changes, from 1. A rehash of the same password does not count.
    pub version: i64,
    /// Counts the user's security stamps, from 1; the sealed hash is bound to it.
    pub password_version: i64,
    /// The user's security stamp: the record that set the present password, or ended all sessions
    /// since, or changed the role since, or the last [`LogRewound`] if that is later. Absent from that very
    /// record, which is the stamp itself, and from records and snapshots of versions that knew no
    /// stamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Position>,
    /// The user is an administrator: tokens that are made now have the scope `admin`. Absent if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_admin: bool,
}

/// A password's Argon2id hash, sealed for the other service (`shared::secrets::SealingKeys`).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedHash(String);

impl SealedHash {
    /// Takes the text form.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text form: `v2.<key id>.<base64url(nonce, sealed)>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form and the key of a hash in text form, `v2.<key id>`; empty if it has neither.
    pub fn sealed_with(text: &str) -> &str {
        text.rsplit_once('.').map_or("", |(sealed_with, _)| sealed_with)
    }
}

impl fmt::Debug for SealedHash {
    /// Never prints the hash, which must not appear in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedHash")
    }
}

/// A record as it is sent: with the user's password hash, which the log does not contain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SentRecord {
    /// The record.
    pub record: LogRecord,
    /// The hash of the record's password, if it is still the user's current password when the
    /// record is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_hash: Option<SealedHash>,
}

/// Names of the AMQP headers that carry a CloudEvent in binary mode (CloudEvents AMQP binding).
pub mod header {
    /// CloudEvents version, always [`super::SPEC_VERSION`].
    pub const SPEC_VERSION: &str = "cloudEvents_specversion";
    /// CloudEvents `id`: the record's hash.
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
    /// Ours: the hash of the previous record.
    pub const PREV_HASH: &str = "cloudEvents_prevhash";
    /// Ours: the [`super::SealedHash`], if the event's password is still the user's current one.
    pub const SEALED_HASH: &str = "cloudEvents_sealedhash";
}

/// The CloudEvents version that we use.
pub const SPEC_VERSION: &str = "1.0";
/// The CloudEvents `source` of user_service.
pub const SOURCE: &str = "/lockstep/user_service";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_kind_is_words_and_a_version_and_its_routing_key_the_words() {
        for (text, routing_key) in [
            ("user.created.v1", "user.created"),
            ("user.locked.v9", "user.locked"),
            ("log.rewound.v12", "log.rewound"),
            ("x.v1", "x"),
        ] {
            let kind = EventKind::parse(text).unwrap();
            assert_eq!((kind.as_str(), kind.routing_key()), (text, routing_key));
        }
        assert_eq!(EventKind::parse("user.created.v1"), Some(EventKind::CREATED));
        let long = format!("{}.v1", "x".repeat(62));
        for bad in [
            "", "v1", ".v1", "user", "user.v", "user.v0", "user.v01", "User.v1", "a..v1", "a.*.v1",
            &long,
        ] {
            assert_eq!(EventKind::parse(bad), None, "{bad:?}");
            assert!(serde_json::from_value::<EventKind>(json!(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_change_says_who_is_left_or_that_nobody_is_and_may_say_more() {
        let change = |json| serde_json::from_value::<UserChange>(json).unwrap();
        let gone = change(json!({"id": 1, "user": null, "reason": "left"}));
        assert_eq!(gone, UserChange { id: UserId(1), user: None, written_by: None });
        let user = json!({"username": "Anna", "username_key": "anna", "version": 2,
                          "password_version": 1, "locked_until": 5});
        let left = change(json!({"id": 1, "user": user})).user.unwrap();
        assert_eq!((left.username.as_str(), left.version), ("Anna", 2));
    }

    #[test]
    fn a_change_that_does_not_say_what_is_left_is_not_read_as_a_deletion() {
        let former = json!({"id": 1, "username": "anna", "version": 1, "password_version": 1});
        assert!(serde_json::from_value::<UserChange>(former).is_err());
    }

    #[test]
    fn a_sealed_hash_is_never_printed() {
        let sealed = SealedHash::new("v2.key.secret");
        assert!(!format!("{sealed:?}").contains("secret"));
        assert_eq!(serde_json::to_value(&sealed).unwrap(), json!("v2.key.secret"));
    }
}
