//! Users.

use contract::UserId;
use shared::hashing::PasswordHash;

/// A user, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number, never used again.
    pub id: UserId,
    /// The name as it was given, in NFC.
    pub username: String,
    /// Counts the user's changes, from 1. Making a hash anew does not count.
    pub version: i64,
    /// Counts the user's passwords, from 1.
    pub password_version: i64,
}

impl User {
    /// Names the user's present state: never the same for two states of any user.
    pub fn tag(&self) -> String {
        format!("{}.{}", self.id, self.version)
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
