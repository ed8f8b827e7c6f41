//! Commands from auth_service to user_service.

use serde::{Deserialize, Serialize};

use super::event::SealedHash;
use super::user::UserId;

/// "I rehashed this password at a login with the current parameters: store this hash instead."
///
/// Losing it is harmless: the next login makes it again. It is applied only if the password has not
/// changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRehashed {
    /// The user who logged in.
    pub id: UserId,
    /// The version of the password that was verified; the sealed hash is bound to it.
    pub password_version: i64,
    /// The new Argon2id hash.
    pub sealed_hash: SealedHash,
}
