//! From each operation's errors to the problems that clients see.

use shared::http::{Problem, ProblemKind};

use crate::actors::user_repository::{CreateError, DeleteError, UpdateError};

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::KeyReused => Self::new(
                ProblemKind::IdempotencyKeyReused,
                "a different request was sent with this Idempotency-Key before",
            ),
            CreateError::StoredResponse(error) => Self::internal(error),
            CreateError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateError> for Problem {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::NoSuchUser => no_such_user(),
            UpdateError::PreconditionFailed => precondition_failed(),
            UpdateError::NameTaken => name_taken(),
            UpdateError::PasswordChanged => Self::new(
                ProblemKind::Overloaded,
                "other requests changed the password while it was checked",
            )
            .with_source(error),
            UpdateError::Store(error) => error.into(),
        }
    }
}

impl From<DeleteError> for Problem {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::NoSuchUser => no_such_user(),
            DeleteError::PreconditionFailed => precondition_failed(),
            DeleteError::Store(error) => error.into(),
        }
    }
}

pub(super) fn no_such_user() -> Problem {
    Problem::new(ProblemKind::NoSuchUser, "no user has this id")
}

pub(super) fn precondition_failed() -> Problem {
    let detail = "the user's current ETag does not satisfy If-Match or If-None-Match";
    Problem::new(ProblemKind::PreconditionFailed, detail)
}

pub(super) fn name_taken() -> Problem {
    Problem::new(ProblemKind::UsernameTaken, "another user has this name")
        .with_error("/username", "is taken")
}
