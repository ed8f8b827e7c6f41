//! `ReplaceHash`.

use contract::{EventKind, PasswordRehashed};
use rusqlite::Connection;
use shared::actors::Command;
use shared::hashing::PasswordHash;
use shared::secrets::UnsealError;
use shared::sqlite::StoreError;

use super::Change;
use super::recorder::Recorder;
use crate::store::users;

/// "Keep this hash of the same password": appends `user.updated` with the versions as they are, if
/// the user is still as the hash was made for. Answers whether that was so.
#[derive(Debug)]
pub struct ReplaceHash(pub PasswordRehashed);

/// Why the hash is as before.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceHashError {
    /// What was sent is no hash that was sealed for this user and version.
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
        let PasswordRehashed { id, version, password_version, password_hash } = self.0;
        let Some(user) = users::find(connection, id)? else { return Ok(false) };
        if (user.version, user.password_version) != (version, password_version) {
            return Ok(false);
        }
        let hash = recorder.sealing_key.unseal(&password_hash, id, version)?;
        let hash = PasswordHash::from_phc(hash);
        if !hash.is_argon2id() {
            return Err(ReplaceHashError::NotAHash);
        }
        users::update(connection, &user, &hash)?;
        recorder.append(connection, EventKind::Updated, &user, Some(&hash), None)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::{TestRepository, create_as};
    use super::*;
    use contract::UserData;
    use shared::actors::ask;

    #[actix::test]
    async fn a_new_hash_is_kept_for_the_same_version_alone_and_does_not_count_as_a_change() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await.user;
        let rehashed = |version| {
            let password_hash = repository.key.seal("$argon2id$new", anna.id, version);
            ReplaceHash(PasswordRehashed {
                id: anna.id,
                version,
                password_version: 1,
                password_hash,
            })
        };
        assert!(!ask(&repository.addr, rehashed(2)).await.unwrap().unwrap());
        assert!(ask(&repository.addr, rehashed(1)).await.unwrap().unwrap());
        let records = repository.records();
        let data: UserData = serde_json::from_str(&records[1].data).unwrap();
        assert_eq!((data.version, data.password_version), (1, 1));
        let sealed = data.password_hash.unwrap();
        assert_eq!(repository.key.unseal(&sealed, anna.id, 1).unwrap(), "$argon2id$new");
    }

    #[actix::test]
    async fn what_was_not_sealed_for_the_user_is_refused() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await.user;
        for password_hash in ["$argon2id$bare".to_owned(), repository.key.seal("x", anna.id, 1)] {
            let rehashed =
                PasswordRehashed { id: anna.id, version: 1, password_version: 1, password_hash };
            assert!(ask(&repository.addr, ReplaceHash(rehashed)).await.unwrap().is_err());
        }
        assert_eq!(repository.records().len(), 1);
    }
}
