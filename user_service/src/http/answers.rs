//! What answers have in common.

use actix_web::HttpResponseBuilder;
use actix_web::http::header::{self, EntityTag};
use contract::{ConsistencyToken, UserRepresentation};
use shared::http::{CONSISTENCY_TOKEN, ETag, IfMatch, Problem, ProblemKind};

use crate::domain::{Precondition, Tag, Tags, User};

/// The user in a body: exactly these members.
pub(super) fn representation(user: &User) -> UserRepresentation {
    UserRepresentation { id: user.id, username: user.username.clone() }
}

/// The tag of the user as they are.
pub(super) fn etag(user: &User) -> ETag {
    ETag::of(user.id, user.version)
}

/// What the header asks for.
pub(super) fn precondition(if_match: IfMatch) -> Precondition {
    match if_match.0 {
        None => Precondition::None,
        Some(header::IfMatch::Any) => Precondition::IfMatch(Tags::Any),
        Some(header::IfMatch::Items(items)) => {
            let tag = |item: &EntityTag| Tag { opaque: item.tag().into(), is_weak: item.weak };
            Precondition::IfMatch(Tags::List(items.iter().map(tag).collect()))
        }
    }
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
