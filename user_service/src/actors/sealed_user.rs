//! A user as auth_service gets to see them: the hash of the password travels beside, sealed when it
//! is sent, because the log holds none.

use contract::{LogRecord, SentRecord, SnapshotUser, UserChange, UserState};
use rusqlite::Connection;
use shared::secrets::SealingKeys;
use shared::sqlite::StoreError;

use crate::domain::{Credentials, User};
use crate::store::users;

/// What other services may know of a user, as the database has it.
pub(super) fn user_state(connection: &Connection, user: &User) -> Result<UserState, StoreError> {
    Ok(UserState {
        username: user.username.clone(),
        username_key: users::find_key(connection, user.id)?,
        version: user.version,
        password_version: user.password_version,
    })
}

/// One user of a snapshot.
pub(super) fn snapshot_user(
    connection: &Connection,
    found: &Credentials,
    key: &SealingKeys,
) -> Result<SnapshotUser, StoreError> {
    let Credentials { user, password_hash } = found;
    let sealed_hash = key.seal(password_hash, user.id, user.password_version);
    let state = user_state(connection, user)?;
    Ok(SnapshotUser { id: user.id, state, sealed_hash: Some(sealed_hash) })
}

/// The records with the hashes beside them that are the users' present ones.
pub(super) fn with_sealed_hashes(
    connection: &Connection,
    records: Vec<LogRecord>,
    key: &SealingKeys,
) -> Result<Vec<SentRecord>, StoreError> {
    let sealed = |record: LogRecord| {
        // A record that cannot be read has no user to look for; followers get it as it is.
        let change = serde_json::from_str::<UserChange>(&record.data).ok();
        let stated = change.and_then(|change| Some((change.id, change.user?.password_version)));
        let sealed_hash = match stated {
            Some((id, version)) => users::find_credentials(connection, id)?
                .filter(|found| found.user.password_version == version)
                .map(|found| key.seal(&found.password_hash, id, version)),
            None => None,
        };
        Ok(SentRecord { record, sealed_hash })
    };
    records.into_iter().map(sealed).collect()
}
