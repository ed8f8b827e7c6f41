//! A user as auth_service gets to see them.

use contract::UserData;
use shared::hashing::PasswordHash;
use shared::secrets::SealingKey;

use crate::domain::User;

/// The data of an event or of a snapshot. The hash is sealed for this user at this version.
pub(super) fn user_data(
    user: &User,
    password_hash: Option<&PasswordHash>,
    key: &SealingKey,
) -> UserData {
    UserData {
        id: user.id,
        username: user.username.clone(),
        version: user.version,
        password_version: user.password_version,
        password_hash: password_hash.map(|hash| key.seal(hash.expose_phc(), user.id, user.version)),
    }
}
