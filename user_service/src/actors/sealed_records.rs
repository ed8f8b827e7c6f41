//! Password hashes leave this service only sealed, and only while they are the users' current ones.

use contract::{SentRecord, SnapshotUser};
use shared::secrets::SealingKeys;

use crate::domain::Credentials;
use crate::store::{PresentPassword, StoredRecord};

/// The record as it is sent.
pub(super) fn seal_record(stored: StoredRecord, key: &SealingKeys) -> SentRecord {
    let StoredRecord { record, password } = stored;
    let seal =
        |PresentPassword { id, password_version, hash }| key.seal(&hash, id, password_version);
    SentRecord { record, sealed_hash: password.map(seal) }
}

/// The user as a snapshot contains them.
pub(super) fn seal_user(credentials: &Credentials, key: &SealingKeys) -> SnapshotUser {
    let Credentials { user, password_hash } = credentials;
    let sealed = key.seal(password_hash, user.id, user.password_version);
    SnapshotUser { id: user.id, state: user.state(), sealed_hash: Some(sealed) }
}
