//! Users.

use std::fmt;

use contract::UserId;

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

/// A user with what proves to be them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: User,
    /// The Argon2id hash of their password, in PHC form.
    pub password_hash: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}
