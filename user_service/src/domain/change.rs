//! Values that describe a change of a user.

use shared::hashing::PasswordHash;

use super::user::User;

/// A password that replaces another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPassword {
    /// The hash of the new one.
    pub hash: PasswordHash,
    /// The version of the password that the client has proved to know.
    pub verified_password_version: i64,
}

/// A durable write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The user after the write; for a deletion, the user's last state.
    pub user: User,
    /// The position in the log that a follower must have reached to know of the write.
    pub seq: i64,
}
