//! What answers have in common.

use actix_web::HttpResponseBuilder;
use contract::{ConsistencyToken, UserRepresentation};
use shared::http::{CONSISTENCY_TOKEN, ETag, Problem, ProblemKind};

use crate::domain::User;

/// The user in a body: exactly these members.
pub(super) fn representation(user: &User) -> UserRepresentation {
    UserRepresentation { id: user.id, username: user.username.clone() }
}

/// The tag of the user as they are.
pub(super) fn etag(user: &User) -> ETag {
    ETag::of(user.id, user.version)
}

/// Tells the client which write later reads may wait for.
pub(super) fn add_consistency_token(builder: &mut HttpResponseBuilder, seq: i64) {
    builder.insert_header((CONSISTENCY_TOKEN, ConsistencyToken { seq }.encode()));
}

pub(super) fn no_such_user() -> Problem {
    Problem::new(ProblemKind::NoSuchUser, "no user has this id")
}

pub(super) fn precondition_failed() -> Problem {
    Problem::new(ProblemKind::PreconditionFailed, "If-Match does not name the user's present ETag")
}

pub(super) fn name_taken() -> Problem {
    Problem::new(ProblemKind::UsernameTaken, "another user has this name")
        .with_error("/username", "is taken")
}
