//! The id in the path.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use contract::UserId;
use shared::http::{Problem, ProblemKind};

/// `{user_id}`, which must be the canonical form of an integer from 1.
pub(super) struct UserPath(pub(super) UserId);

impl FromRequest for UserPath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("user_id").and_then(UserId::parse);
        ready(id.map(Self).ok_or_else(|| {
            Problem::new(ProblemKind::Malformed, "the user's id must be an integer from 1")
        }))
    }
}
