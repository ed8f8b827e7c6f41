//! Users.

use contract::{Position, UserChange, UserId, UserState};
use shared::hashing::PasswordHash;

/// A user, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number, never used again.
    pub id: UserId,
    /// The name as it was given, in NFC.
    pub username: String,
    /// The compared form of the name.
    pub username_key: String,
    /// Counts the user's changes, from 1. A rehash of the same password does not count.
    pub version: i64,
    /// Counts the user's security stamps, from 1.
    pub password_version: i64,
    /// The record that last changed the name or the password. A rehash of the same password does
    /// not count.
    pub changed: Position,
    /// The user's security stamp: the record that set the present password, or ended all sessions
    /// since, or changed the role since, or the last `log.rewound` if that is later.
    pub stamp: Position,
    /// The user is an administrator.
    pub is_admin: bool,
}

impl User {
    /// The entity tag of the user's current state: no two states of any users have the same tag, in
    /// whatever history of the log.
    pub fn tag(&self) -> String {
        self.changed.encode()
    }

    /// Everything that other services may know of the user.
    pub fn state(&self) -> UserState {
        UserState {
            username: self.username.clone(),
            username_key: self.username_key.clone(),
            version: self.version,
            password_version: self.password_version,
            stamp: Some(self.stamp),
            is_admin: self.is_admin,
        }
    }

    /// The content of a record after which the user is in this state, with the password that they
    /// had before.
    pub fn left(&self) -> UserChange {
        UserChange { id: self.id, user: Some(self.state()), written_by: None }
    }

    /// The content of a record that sets the user's password, or ends all sessions, or changes the
    /// role: that record is the stamp.
    pub fn left_with_new_stamp(&self) -> UserChange {
        let state = UserState { stamp: None, ..self.state() };
        UserChange { id: self.id, user: Some(state), written_by: None }
    }

    /// The content of a record that deletes the user.
    pub fn gone(&self) -> UserChange {
        UserChange { id: self.id, user: None, written_by: None }
    }
}

/// A user with the hash of their password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: User,
    /// The hash of their password.
    pub password_hash: PasswordHash,
}

/// A password that replaces another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPassword {
    /// The hash of the new one.
    pub hash: PasswordHash,
    /// Why the client may set it.
    pub permit: PasswordPermit,
}

/// Why a client may set a user's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordPermit {
    /// It has proved to know the password of this version.
    KnowsVersion(i64),
    /// It has a reset token that was made for this security stamp.
    ResetOf(Position),
    /// It is an administrator.
    Administrator,
}

impl PasswordPermit {
    /// Whether it permits to change the password of the user, as they are now.
    pub fn permits(self, user: &User) -> bool {
        match self {
            Self::KnowsVersion(version) => version == user.password_version,
            Self::ResetOf(stamp) => stamp == user.stamp,
            Self::Administrator => true,
        }
    }
}

/// A durable write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The user after the write; for a deletion, the user's last state.
    pub user: User,
    /// The write's record, which a follower must have reached to know of the write.
    pub position: Position,
}
