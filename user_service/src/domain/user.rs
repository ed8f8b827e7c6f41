//! Users.

use contract::{UserChange, UserId, UserState};
use shared::hashing::PasswordHash;

/// A user, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number, never used again.
    pub id: UserId,
    /// The name as it was given, in NFC.
    pub username: String,
    /// The name as it is compared.
    pub username_key: String,
    /// Counts the user's changes, from 1. A rehash of the same password does not count.
    pub version: i64,
    /// Counts the user's passwords, from 1.
    pub password_version: i64,
}

impl User {
    /// Names the user's present state: never the same for two states of any user.
    pub fn tag(&self) -> String {
        format!("{}.{}", self.id, self.version)
    }

    /// Everything that other services may know of the user.
    pub fn state(&self) -> UserState {
        UserState {
            username: self.username.clone(),
            username_key: self.username_key.clone(),
            version: self.version,
            password_version: self.password_version,
        }
    }

    /// What a change leaves that leaves the user as they are here.
    pub fn left(&self) -> UserChange {
        UserChange { id: self.id, user: Some(self.state()) }
    }

    /// What a deletion leaves.
    pub fn gone(&self) -> UserChange {
        UserChange { id: self.id, user: None }
    }
}

/// A user with what proves to be them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: User,
    /// The hash of their password.
    pub password_hash: PasswordHash,
}
