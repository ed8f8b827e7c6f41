//! What is said about a change of a user.

use shared::hashing::PasswordHash;

use super::user::User;

/// A password that takes the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPassword {
    /// The hash of the new one.
    pub hash: PasswordHash,
    /// The version of the password that the client was found to know.
    pub verified_password_version: i64,
}

/// A write that is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The user as the write left it; a deleted one as it last was.
    pub user: User,
    /// The place in the log that a follower must have reached to know of it.
    pub seq: i64,
}
