//! `UpdateUser`.

use contract::{EventKind, UserId};
use rusqlite::Connection;
use shared::actors::Command;
use shared::fail_point::sabotaged;
use shared::identity::Username;
use shared::sqlite::StoreError;

use super::Change;
use super::recorder::Recorder;
use crate::domain::{Credentials, NewPassword, Precondition, Written};
use crate::store::users::{self, NameError};
use crate::store::{digest, log};

/// "Give this user another name, another password, or both": appends `user.updated`, unless that
/// changes nothing.
#[derive(Debug)]
pub struct UpdateUser {
    /// The user.
    pub id: UserId,
    /// The new name.
    pub username: Option<Username>,
    /// The new password.
    pub password: Option<NewPassword>,
    /// What must hold of the user.
    pub precondition: Precondition,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// Why the user is as before.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// There is none.
    #[error("there is no such user")]
    NoSuchUser,
    /// The precondition does not hold.
    #[error("the user has changed")]
    PreconditionFailed,
    /// Another user has the name.
    #[error("another user has this name")]
    NameTaken,
    /// The password is no longer the one that the client was found to know: check it again.
    #[error("the password has changed since it was checked")]
    PasswordChanged,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NameError> for UpdateError {
    fn from(error: NameError) -> Self {
        match error {
            NameError::Taken => Self::NameTaken,
            NameError::Store(error) => Self::Store(error),
        }
    }
}

impl Command for UpdateUser {
    type Reply = Result<Written, UpdateError>;
}

impl Change for UpdateUser {
    type Done = Written;
    type Error = UpdateError;

    fn apply(self, connection: &Connection, recorder: &Recorder) -> Result<Written, UpdateError> {
        let found = users::find_credentials(connection, self.id)?;
        let Credentials { mut user, mut password_hash } = found.ok_or(UpdateError::NoSuchUser)?;
        if !self.precondition.holds(&user) {
            return Err(UpdateError::PreconditionFailed);
        }
        let name = self.username.filter(|name| name.as_shown() != user.username);
        if name.is_none() && self.password.is_none() {
            return Ok(Written { user, seq: log::end(connection)?.seq });
        }
        let before = user.clone();
        if let Some(NewPassword { hash, verified_password_version }) = self.password {
            if verified_password_version != user.password_version {
                return Err(UpdateError::PasswordChanged);
            }
            user.password_version += 1;
            password_hash = hash;
        }
        user.version += if sabotaged("update") { 2 } else { 1 };
        if let Some(name) = name {
            users::rename(connection, &user, &name, &password_hash)?;
            name.as_shown().clone_into(&mut user.username);
        } else {
            users::update(connection, &user, &password_hash)?;
        }
        digest::replace(connection, Some(&before), Some(&user))?;
        let traceparent = self.traceparent.as_deref();
        let seq = recorder.append(connection, EventKind::UPDATED, &user, traceparent)?;
        Ok(Written { user, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::{TestRepository, create_as};
    use super::*;
    use shared::actors::ask;
    use shared::hashing::PasswordHash;
    use shared::log_sync::user_checksum;

    fn rename(id: UserId, name: &str) -> UpdateUser {
        UpdateUser {
            id,
            username: Some(Username::parse(name).unwrap()),
            password: None,
            precondition: Precondition::None,
            traceparent: None,
        }
    }

    fn new_password(id: UserId, verified_password_version: i64) -> UpdateUser {
        let password =
            Some(NewPassword { hash: PasswordHash::from_phc("other"), verified_password_version });
        UpdateUser { username: None, password, ..rename(id, "x") }
    }

    #[actix::test]
    async fn a_user_may_take_their_own_name_in_another_case() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await.user;
        let written = ask(&repository.addr, rename(anna.id, "ANNA")).await.unwrap().unwrap();
        assert_eq!((written.user.username.as_str(), written.user.version), ("ANNA", 2));
    }

    #[actix::test]
    async fn an_update_that_changes_nothing_leaves_no_record() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await;
        let written = ask(&repository.addr, rename(anna.user.id, "anna")).await.unwrap().unwrap();
        assert_eq!(written, anna);
        assert_eq!(repository.records().len(), 1);
    }

    #[actix::test]
    async fn a_name_and_a_password_change_together_or_not_at_all() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await.user;
        let both = |verified| UpdateUser {
            username: Some(Username::parse("bert").unwrap()),
            ..new_password(anna.id, verified)
        };
        let refused = ask(&repository.addr, both(7)).await.unwrap();
        assert!(matches!(refused, Err(UpdateError::PasswordChanged)));
        let written = ask(&repository.addr, both(1)).await.unwrap().unwrap();
        assert_eq!((written.user.version, written.user.password_version), (2, 2));
        assert_eq!(repository.records().len(), 2);
    }

    #[actix::test]
    async fn of_two_changes_of_password_with_the_same_current_one_only_one_is_made() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await.user;
        ask(&repository.addr, new_password(anna.id, 1)).await.unwrap().unwrap();
        let second = ask(&repository.addr, new_password(anna.id, 1)).await.unwrap();
        assert!(matches!(second, Err(UpdateError::PasswordChanged)));
    }

    #[actix::test]
    async fn a_freed_name_is_free_and_a_taken_one_is_refused() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await.user;
        let bert = create_as(&repository, "bert").await.user;
        let taken = ask(&repository.addr, rename(bert.id, "Anna")).await.unwrap();
        assert!(matches!(taken, Err(UpdateError::NameTaken)));
        ask(&repository.addr, rename(anna.id, "carl")).await.unwrap().unwrap();
        ask(&repository.addr, rename(bert.id, "Anna")).await.unwrap().unwrap();
        let nobody = ask(&repository.addr, rename(UserId(99), "x")).await.unwrap();
        assert!(matches!(nobody, Err(UpdateError::NoSuchUser)));
    }

    #[actix::test]
    async fn the_digest_is_that_of_the_users_after_every_change() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await.user;
        let bert = create_as(&repository, "bert").await.user;
        ask(&repository.addr, rename(bert.id, "ANNA")).await.unwrap().unwrap_err();
        ask(&repository.addr, rename(anna.id, "Anna")).await.unwrap().unwrap();
        ask(&repository.addr, new_password(anna.id, 1)).await.unwrap().unwrap();
        repository.delete(bert.id).await;
        let digest = user_checksum(anna.id, 3, "Anna");
        assert_eq!(repository.head.borrow().checksum, Some(digest));
        let repository = repository.restart_keeping(0).await;
        assert_eq!(repository.head.borrow().checksum, Some(digest));
    }

    #[actix::test]
    async fn a_digest_that_is_not_there_is_made_from_the_users() {
        let repository = TestRepository::start();
        create_as(&repository, "anna").await;
        let before = repository.head.borrow().checksum;
        let path = repository.directory.path().join("users.db");
        Connection::open(path).unwrap().execute("DELETE FROM users_digest", []).unwrap();
        let repository = repository.restart_keeping(10).await;
        assert_eq!(repository.head.borrow().checksum, before);
    }
}
