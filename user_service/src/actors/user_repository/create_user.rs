//! `CreateUser`.

use std::fmt;

use contract::EventKind;
use rusqlite::Connection;
use shared::actors::Command;
use shared::hashing::PasswordHash;
use shared::identity::Username;
use shared::sqlite::StoreError;
use shared::sqlite::idempotency::{self, IdempotentRequest, Lookup};

use super::Change;
use super::first_answer;
use super::recorder::Recorder;
use crate::domain::Written;
use crate::store::digest;
use crate::store::users::{self, NameError};

/// "Create this user": appends `user.created`, unless the name is taken.
pub struct CreateUser {
    /// The name.
    pub username: Username,
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// Set if the client may repeat the request and wants the first answer then.
    pub idempotency: Option<IdempotentRequest>,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

impl fmt::Debug for CreateUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateUser").finish_non_exhaustive()
    }
}

/// The answer to a client, the first one and the repeated ones alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The user exists from here on.
    User(Written),
    /// Another user has the name. No error, because it is kept for repeated requests too.
    NameTaken,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The idempotency key stands for another request.
    #[error("the idempotency key stands for another request")]
    KeyReused,
    /// The stored first answer cannot be read.
    #[error("the stored first answer cannot be read")]
    StoredResponse(#[from] serde_json::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Command for CreateUser {
    type Reply = Result<Created, CreateError>;
}

impl Change for CreateUser {
    type Done = Created;
    type Error = CreateError;

    fn apply(self, connection: &Connection, recorder: &Recorder) -> Result<Created, CreateError> {
        let Some(request) = &self.idempotency else { return self.create(connection, recorder) };
        let now_ms = recorder.clock.unix_ms();
        match idempotency::find(connection, request, now_ms)? {
            Lookup::Outcome(outcome) => Ok(first_answer::decode(&outcome)?),
            Lookup::OtherRequest => Err(CreateError::KeyReused),
            Lookup::Nothing => {
                let created = self.create(connection, recorder)?;
                let outcome = first_answer::encode(&created)?;
                idempotency::record(connection, request, &outcome, now_ms)?;
                Ok(created)
            }
        }
    }
}

impl CreateUser {
    fn create(&self, connection: &Connection, recorder: &Recorder) -> Result<Created, CreateError> {
        let user = match users::insert(connection, &self.username, &self.password_hash) {
            Ok(user) => user,
            Err(NameError::Taken) => return Ok(Created::NameTaken),
            Err(NameError::Store(error)) => return Err(error.into()),
        };
        digest::replace(connection, None, Some(&user))?;
        let traceparent = self.traceparent.as_deref();
        let seq = recorder.append(connection, EventKind::CREATED, &user, traceparent)?;
        Ok(Created::User(Written { user, seq }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::{TestRepository, create, create_as};
    use super::*;
    use shared::actors::ask;

    fn with_key(name: &str, fingerprint: &str) -> CreateUser {
        let request = IdempotentRequest {
            scope: "POST /users",
            key: "k".into(),
            fingerprint: fingerprint.into(),
        };
        CreateUser { idempotency: Some(request), ..create(name) }
    }

    #[actix::test]
    async fn a_name_in_another_case_is_taken_and_leaves_no_record() {
        let repository = TestRepository::start();
        create_as(&repository, "Anna").await;
        let taken = ask(&repository.addr, create("aNNA")).await.unwrap().unwrap();
        assert_eq!(taken, Created::NameTaken);
        assert_eq!(repository.records().len(), 1);
    }

    #[actix::test]
    async fn a_repeated_request_gets_the_first_answer_and_changes_nothing() {
        let repository = TestRepository::start();
        let first = ask(&repository.addr, with_key("anna", "f")).await.unwrap().unwrap();
        let again = ask(&repository.addr, with_key("anna", "f")).await.unwrap().unwrap();
        assert_eq!(first, again);
        assert_eq!(repository.records().len(), 1);
        let other = ask(&repository.addr, with_key("bert", "g")).await.unwrap();
        assert!(matches!(other, Err(CreateError::KeyReused)));
    }

    #[actix::test]
    async fn that_a_name_was_taken_is_remembered_too() {
        let repository = TestRepository::start();
        let anna = create_as(&repository, "anna").await;
        let taken = ask(&repository.addr, with_key("anna", "f")).await.unwrap().unwrap();
        repository.delete(anna.user.id).await;
        let again = ask(&repository.addr, with_key("anna", "f")).await.unwrap().unwrap();
        assert_eq!((taken, again), (Created::NameTaken, Created::NameTaken));
    }
}
