//! Maps each operation's errors to the problems that clients see.

use shared::http::{Problem, ProblemKind};

use crate::store::ChangeError;

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoSuchUser => no_such_user(),
            ChangeError::PreconditionFailed => precondition_failed(),
            ChangeError::NameTaken => name_taken(),
            ChangeError::PasswordChanged => Self::new(
                ProblemKind::Overloaded,
                "other requests changed the password while it was checked",
            )
            .with_source(error),
            ChangeError::KeyReused => Self::new(
                ProblemKind::IdempotencyKeyReused,
                "a different request was sent with this Idempotency-Key before",
            ),
            ChangeError::TooManyWait => {
                Self::new(ProblemKind::Overloaded, "the service has just started or stops")
                    .with_source(error)
            }
            ChangeError::Store(error) => error.into(),
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

pub(super) fn list_has_no_etag() -> Problem {
    let detail = "the list of users exists and has no ETag: only If-Match: * is satisfied";
    Problem::new(ProblemKind::PreconditionFailed, detail)
}

pub(super) fn name_taken() -> Problem {
    Problem::new(ProblemKind::UsernameTaken, "another user has this name")
        .with_error("/username", "is taken")
}
