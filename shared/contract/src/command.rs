//! What auth_service asks user_service to do.

use serde::{Deserialize, Serialize};

use super::user::UserId;

/// "At a login I made this hash anew with today's parameters: keep it instead of the old one."
///
/// Losing it is harmless: the next login makes it again. It is applied only if the password is
/// still the one that was hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRehashed {
    /// The user who logged in.
    pub id: UserId,
    /// The user's version that the sealed hash is bound to.
    pub version: i64,
    /// The password's version that was verified.
    pub password_version: i64,
    /// The new Argon2id hash, sealed.
    pub password_hash: String,
}
