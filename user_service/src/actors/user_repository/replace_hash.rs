//! `ReplaceHash`.

use contract::{EventKind, PasswordRehashed};
use rusqlite::Connection;
use shared::actors::Command;
use shared::secrets::UnsealError;
use shared::sqlite::StoreError;

use super::Change;
use super::recorder::Recorder;
use crate::store::users;

/// "Keep this hash of the same password": appends `user.updated` with the versions as they are, if
/// the password is still the one that was hashed. Answers whether that was so.
#[derive(Debug)]
pub struct ReplaceHash(pub PasswordRehashed);

/// Why the hash is as before.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceHashError {
    /// What was sent is no hash that was sealed for this password.
    #[error("the hash cannot be unsealed")]
    Unseal(#[from] UnsealError),
    /// What was sealed is not an Argon2id hash.
    #[error("what was sealed is not an Argon2id hash")]
    NotAHash,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Command for ReplaceHash {
    type Reply = Result<bool, ReplaceHashError>;
}

impl Change for ReplaceHash {
    type Done = bool;
    type Error = ReplaceHashError;

    fn apply(self, connection: &Connection, recorder: &Recorder) -> Result<bool, ReplaceHashError> {
        let PasswordRehashed { id, password_version, sealed_hash } = self.0;
        let Some(user) = users::find(connection, id)? else { return Ok(false) };
        if user.password_version != password_version {
            return Ok(false);
        }
        let hash = recorder.sealing_key.unseal(&sealed_hash, id, password_version)?;
        if !hash.is_argon2id() {
            return Err(ReplaceHashError::NotAHash);
        }
        users::update(connection, &user, &hash)?;
        recorder.append(connection, EventKind::UPDATED, &user, None)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::{TestRepository, create_as};
    use super::*;
    use contract::{SealedHash, UserChange};
    use shared::actors::ask;
    use shared::hashing::PasswordHash;

    #[actix::test]
    async fn a_new_hash_is_kept_for_the_same_password_alone_and_does_not_count_as_a_change() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await.user;
        let new = PasswordHash::from_phc("$argon2id$new");
        let rehashed = |password_version| {
            let sealed_hash = repository.key.seal(&new, anna.id, password_version);
            ReplaceHash(PasswordRehashed { id: anna.id, password_version, sealed_hash })
        };
        assert!(!ask(&repository.addr, rehashed(2)).await.unwrap().unwrap());
        assert!(ask(&repository.addr, rehashed(1)).await.unwrap().unwrap());
        let records = repository.records();
        let change: UserChange = serde_json::from_str(&records[1].data).unwrap();
        let state = change.user.unwrap();
        assert_eq!((state.version, state.password_version), (1, 1));
        let reader = repository.pool.get().unwrap();
        let found = users::find_credentials(&reader, anna.id).unwrap().unwrap();
        assert_eq!(found.password_hash, new);
    }

    #[actix::test]
    async fn what_was_not_sealed_for_the_password_is_refused() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await.user;
        let not_a_hash = repository.key.seal(&PasswordHash::from_phc("x"), anna.id, 1);
        for sealed_hash in [SealedHash::new("$argon2id$bare"), not_a_hash] {
            let rehashed = PasswordRehashed { id: anna.id, password_version: 1, sealed_hash };
            assert!(ask(&repository.addr, ReplaceHash(rehashed)).await.unwrap().is_err());
        }
        assert_eq!(repository.records().len(), 1);
    }
}
