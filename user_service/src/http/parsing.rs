//! What handlers take from the path and the headers.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, IF_MATCH, IF_NONE_MATCH};
use actix_web::{FromRequest, HttpRequest};
use contract::UserId;
use shared::http::{EntityTags, Problem, ProblemKind};
use utoipa::IntoParams;

use super::Api;
use super::problems::{list_has_no_etag, precondition_failed};
use crate::domain::{Precondition, Tag, Tags, User};

/// The id in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct UserPath {
    /// The user's id
    #[param(value_type = i64, minimum = 1)]
    pub(super) user_id: UserId,
}

impl FromRequest for UserPath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let user_id = request.match_info().get("user_id").and_then(UserId::parse);
        ready(user_id.map(|user_id| Self { user_id }).ok_or_else(|| {
            let detail = "the id in the path must be an integer from 1, without leading zeros";
            Problem::new(ProblemKind::Malformed, detail)
        }))
    }
}

/// The preconditions of a request (RFC 9110 section 13.1), for every method.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Conditions {
    /// Entity tags, or `*`: the request is carried out only if one of them is the user's current
    /// ETag; otherwise the answer is 412
    #[param(rename = "If-Match", value_type = Option<String>,
            pattern = r#"^(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*((W/)?"[!#-~]*")?)*)?$"#)]
    if_match: Option<Tags>,
    /// Entity tags, or `*`: the request is carried out only if none of them is the user's current
    /// ETag; otherwise the answer to GET is 304, and to other methods 412
    #[param(rename = "If-None-Match", value_type = Option<String>,
            pattern = r#"^(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*((W/)?"[!#-~]*")?)*)?$"#)]
    if_none_match: Option<Tags>,
}

impl FromRequest for Conditions {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::from_headers(request.headers()))
    }
}

/// The preconditions of a request to the list of users. The list always exists, and has no ETag.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct ListConditions {
    /// Entity tags, or `*`. The list has no ETag: only `*` lets the request pass; otherwise the
    /// answer is 412
    #[param(rename = "If-Match", value_type = Option<String>,
            pattern = r#"^(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*((W/)?"[!#-~]*")?)*)?$"#)]
    if_match: Option<EntityTags>,
    /// Entity tags, or `*`. The list exists: with `*` the answer to GET is 304, and to POST 412
    #[param(rename = "If-None-Match", value_type = Option<String>,
            pattern = r#"^(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*((W/)?"[!#-~]*")?)*)?$"#)]
    if_none_match: Option<EntityTags>,
}

impl FromRequest for ListConditions {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let tags = tags_of(request.headers());
        ready(tags.map(|[if_match, if_none_match]| Self { if_match, if_none_match }))
    }
}

impl ListConditions {
    /// For a read. `Ok(false)`: 304.
    ///
    /// # Errors
    /// 412 if `If-Match` is not satisfied.
    pub(super) fn wants(&self) -> Result<bool, Problem> {
        match self.if_match {
            Some(EntityTags::List(_)) => Err(list_has_no_etag()),
            _ => Ok(self.if_none_match != Some(EntityTags::Any)),
        }
    }

    /// For a write.
    ///
    /// # Errors
    /// 412 if one of them is not satisfied.
    pub(super) fn for_write(&self) -> Result<(), Problem> {
        if self.wants()? { Ok(()) } else { Err(list_has_no_etag()) }
    }
}

/// The values of `If-Match` and `If-None-Match`.
fn tags_of(headers: &HeaderMap) -> Result<[Option<EntityTags>; 2], Problem> {
    let tags = |name| EntityTags::from_headers(headers, name);
    Ok([tags(&IF_MATCH)?, tags(&IF_NONE_MATCH)?])
}

fn to_domain(tags: EntityTags) -> Tags {
    match tags {
        EntityTags::Any => Tags::Any,
        EntityTags::List(tags) => Tags::List(
            tags.iter()
                .map(|tag| Tag { opaque: tag.tag().to_owned(), is_weak: tag.weak })
                .collect(),
        ),
    }
}

impl Conditions {
    fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let [if_match, if_none_match] = tags_of(headers)?.map(|tags| tags.map(to_domain));
        Ok(Self { if_match, if_none_match })
    }

    /// For a read. `Ok(false)` if the client already has the user's current state: 304.
    ///
    /// # Errors
    /// 412 if `If-Match` is not satisfied: it is evaluated first (RFC 9110 section 13.2.2).
    pub(super) fn wants(&self, user: &User) -> Result<bool, Problem> {
        if self.if_match.as_ref().is_some_and(|tags| !tags.match_strongly(user)) {
            return Err(precondition_failed());
        }
        Ok(!self.if_none_match.as_ref().is_some_and(|tags| tags.match_weakly(user)))
    }

    /// For a write: evaluated inside the write's transaction.
    ///
    /// # Errors
    /// 428 if this installation requires an `If-Match` and there is none.
    pub(super) fn for_write(self, api: &Api) -> Result<Precondition, Problem> {
        if api.requires_if_match && self.if_match.is_none() {
            let detail = "send the user's current ETag in If-Match";
            return Err(Problem::new(ProblemKind::PreconditionRequired, detail));
        }
        Ok(match (self.if_match, self.if_none_match) {
            (None, None) => Precondition::None,
            (Some(tags), None) => Precondition::IfMatch(tags),
            (None, Some(tags)) => Precondition::IfNoneMatch(tags),
            (Some(if_match), Some(if_none_match)) => Precondition::Both { if_match, if_none_match },
        })
    }
}
