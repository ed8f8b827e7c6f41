//! From each operation's errors to the problems that clients see.

use shared::http::{Problem, ProblemKind};

use super::answers::{name_taken, no_such_user, precondition_failed};
use crate::actors::user_repository::{CreateError, DeleteError, UpdateError};

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::KeyReused => Self::new(
                ProblemKind::IdempotencyKeyReused,
                "another request came with this Idempotency-Key before",
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
                "the password was changed by others while it was checked",
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
