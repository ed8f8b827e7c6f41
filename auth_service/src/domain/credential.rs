//! What is known of a user here.

use std::fmt;

use contract::{Position, SealedHash, UserId};

/// A user as login sees them: the projection of the last event about them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user.
    pub id: UserId,
    /// What their tokens say of them.
    pub profile: Profile,
    /// Counts the user's changes.
    pub version: i64,
    /// Counts the user's security stamps; the sealed hash is bound to it.
    pub password_version: i64,
    /// The password's hash, sealed by user_service; nothing until it has come.
    pub sealed_hash: Option<SealedHash>,
    /// The user's security stamp: the record that set the password.
    pub stamp: Position,
}

/// What a token says of its user.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name as shown.
    pub username: String,
    /// The log of user_service says that they are an administrator.
    pub is_admin: bool,
}

impl fmt::Debug for Credential {
    /// Without the name and the hash, which have no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({} v{} p{})", self.id, self.version, self.password_version)
    }
}
