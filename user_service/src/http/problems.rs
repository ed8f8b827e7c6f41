//! From errors of the store to the problems that clients see.

use shared::http::{Problem, ProblemKind};

use super::answers::{name_taken, no_such_user, precondition_failed};
use crate::store::{ChangeError, StoreError};

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoSuchUser => no_such_user(),
            ChangeError::PreconditionFailed => precondition_failed(),
            ChangeError::NameTaken => name_taken(),
            ChangeError::PasswordChanged => Self::new(
                ProblemKind::Overloaded,
                "the password was changed by others while it was checked",
            )
            .with_source(error),
            ChangeError::KeyReused => Self::new(
                ProblemKind::IdempotencyKeyReused,
                "another request came with this Idempotency-Key before",
            ),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(_) => {
                Self::new(ProblemKind::StorageFull, "nothing was changed").with_source(error)
            }
            StoreError::Failed(_) => Self::internal(error),
        }
    }
}
