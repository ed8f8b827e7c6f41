//! What auth_service asks user_service to do.

use serde::{Deserialize, Serialize};

use super::event::SealedHash;
use super::user::UserId;

/// "At a login I hashed this password again with today's parameters: keep this hash instead."
///
/// Losing it is harmless: the next login makes it again. It is applied only if the password is
/// still the one that was hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRehashed {
    /// The user who logged in.
    pub id: UserId,
    /// The version of the password that was verified; the sealed hash is bound to it.
    pub password_version: i64,
    /// The new Argon2id hash.
    pub sealed_hash: SealedHash,
}
