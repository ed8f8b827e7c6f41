//! Conditional requests (RFC 9110 section 13).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, EntityTag, Header, HeaderName};
use actix_web::{FromRequest, HttpRequest};

use super::problem::{Problem, ProblemKind};
use contract::UserId;

/// The strong entity tag of a user at a version, in its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of this user at this version.
    pub fn of(id: UserId, version: i64) -> Self {
        Self(format!("\"{id}.{version}\""))
    }

    /// The header's value.
    pub fn to_header(&self) -> (HeaderName, &str) {
        (header::ETAG, &self.0)
    }

    /// Compared weakly (RFC 9110 section 8.8.3.2): the other one may be weak.
    fn weak_eq(&self, other: &EntityTag) -> bool {
        self.0.trim_matches('"') == other.tag()
    }

    fn strong_eq(&self, other: &EntityTag) -> bool {
        !other.weak && self.weak_eq(other)
    }
}

/// The `If-Match` header: change only what the client has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IfMatch(pub Option<header::IfMatch>);

impl IfMatch {
    /// Whether the header is there.
    pub fn is_present(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a user with this tag may be changed: compared strongly, as RFC 9110 asks for.
    pub fn allows(&self, tag: &ETag) -> bool {
        match &self.0 {
            None | Some(header::IfMatch::Any) => true,
            Some(header::IfMatch::Items(items)) => items.iter().any(|item| tag.strong_eq(item)),
        }
    }
}

/// The `If-None-Match` header: send only what the client does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IfNoneMatch(Option<header::IfNoneMatch>);

impl IfNoneMatch {
    /// Whether the client has what carries this tag: compared weakly, as RFC 9110 asks for.
    pub fn has(&self, tag: &ETag) -> bool {
        match &self.0 {
            None => false,
            Some(header::IfNoneMatch::Any) => true,
            Some(header::IfNoneMatch::Items(items)) => items.iter().any(|item| tag.weak_eq(item)),
        }
    }
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request).map(Self))
    }
}

impl FromRequest for IfNoneMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request).map(Self))
    }
}

/// The header if it is there and well-formed: a tag that is not in quotes must not pass for none.
fn parse<H: Header>(request: &HttpRequest) -> Result<Option<H>, Problem> {
    if !request.headers().contains_key(H::name()) {
        return Ok(None);
    }
    let malformed = || {
        let detail = format!("{} must be * or a list of entity tags in quotes", H::name());
        Problem::new(ProblemKind::Malformed, detail)
    };
    let is_text = request
        .headers()
        .get_all(H::name())
        .all(|value| value.to_str().is_ok_and(|text| text.split(',').all(is_tag_or_star)));
    if !is_text {
        return Err(malformed());
    }
    H::parse(request).map(Some).map_err(|_| malformed())
}

fn is_tag_or_star(item: &str) -> bool {
    let item = item.trim();
    item == "*" || item.parse::<EntityTag>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn if_match(value: &str) -> Result<IfMatch, Problem> {
        let request = TestRequest::default().insert_header((header::IF_MATCH, value));
        parse(&request.to_http_request()).map(IfMatch)
    }

    #[test]
    fn if_match_compares_strongly_and_takes_lists_and_the_star() {
        let tag = ETag::of(UserId(1), 2);
        for (value, allows) in [
            ("*", true),
            ("\"1.2\"", true),
            ("\"x\", \"1.2\"", true),
            ("W/\"1.2\"", false),
            ("\"1.1\"", false),
        ] {
            assert_eq!(if_match(value).unwrap().allows(&tag), allows, "{value}");
        }
        assert!(IfMatch::default().allows(&tag));
    }

    #[test]
    fn a_tag_without_quotes_is_malformed_and_not_absent() {
        for bad in ["1.2", "", "\"a", "\"a\" \"b\""] {
            assert!(if_match(bad).is_err(), "{bad:?}");
        }
    }
}
