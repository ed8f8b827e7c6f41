//! The token in the `Authorization` header (RFC 6750).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use actix_web::{FromRequest, HttpRequest};

use super::problem::{Problem, ProblemKind};

/// Tells clients that a token is needed (RFC 6750 section 3).
pub const CHALLENGE: &str = r#"Bearer realm="lockstep""#;
/// Tells clients that their token is not accepted.
const INVALID_TOKEN: &str = r#"Bearer realm="lockstep", error="invalid_token""#;
/// Tells clients that their token is not one of an administrator.
const INSUFFICIENT_SCOPE: &str =
    r#"Bearer realm="lockstep", error="insufficient_scope", scope="admin""#;

/// A token as it was sent, not verified.
#[derive(PartialEq, Eq)]
pub struct Bearer(pub String);

/// Why a request has no token. Small, because where access is open every request without one gets this,
/// and nobody asks for the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBearer {
    /// There is no header `Authorization`, or it has another scheme.
    Missing,
    /// The header is not of the form of RFC 6750 section 2.1.
    Malformed,
}

impl From<NoBearer> for Problem {
    fn from(reason: NoBearer) -> Self {
        match reason {
            NoBearer::Missing => missing_token(),
            NoBearer::Malformed => invalid_token(),
        }
    }
}

impl From<NoBearer> for actix_web::Error {
    fn from(reason: NoBearer) -> Self {
        Problem::from(reason).into()
    }
}

impl FromRequest for Bearer {
    type Error = NoBearer;
    type Future = Ready<Result<Self, NoBearer>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request.headers()))
    }
}

/// The request carries no token that could be wrong: no error code (RFC 6750 section 3.1).
fn missing_token() -> Problem {
    let detail = "send Authorization: Bearer with a token from POST /login";
    Problem::new(ProblemKind::InvalidToken, detail).with_header(WWW_AUTHENTICATE, CHALLENGE)
}

/// The same for every reason, which is logged and never sent to the client.
pub fn invalid_token() -> Problem {
    let detail = "the token is malformed, expired, revoked or from another issuer";
    Problem::new(ProblemKind::InvalidToken, detail).with_header(WWW_AUTHENTICATE, INVALID_TOKEN)
}

/// The token is good, and does not allow this.
pub fn not_permitted() -> Problem {
    let detail = "this needs the token of an administrator, or of the user whom it is about";
    Problem::new(ProblemKind::NotPermitted, detail)
        .with_header(WWW_AUTHENTICATE, INSUFFICIENT_SCOPE)
}

fn parse(headers: &HeaderMap) -> Result<Bearer, NoBearer> {
    let mut values = headers.get_all(AUTHORIZATION);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(if headers.contains_key(AUTHORIZATION) {
            NoBearer::Malformed
        } else {
            NoBearer::Missing
        });
    };
    let value = str::from_utf8(value.as_bytes()).map_err(|_| NoBearer::Malformed)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(NoBearer::Missing);
    }
    let token = token.trim_matches(' ');
    // Without an early end, so that the compiler compares many bytes at once: a token has hundreds.
    let is_graphic = token.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic());
    if token.is_empty() || !is_graphic {
        return Err(NoBearer::Malformed);
    }
    Ok(Bearer(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use actix_web::test::TestRequest;

    fn parsed(values: &[&[u8]]) -> Result<String, String> {
        let mut request = TestRequest::default();
        for value in values {
            request = request.append_header((AUTHORIZATION, *value));
        }
        let parsed = parse(request.to_http_request().headers());
        parsed.map(|Bearer(token)| token).map_err(|reason| {
            let answer = Problem::from(reason).error_response();
            answer.headers().get(WWW_AUTHENTICATE).unwrap().to_str().unwrap().to_owned()
        })
    }

    #[test]
    fn the_scheme_is_read_without_regard_to_case() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c "] {
            assert_eq!(parsed(&[value.as_bytes()]), Ok("a.b.c".into()), "{value}");
        }
    }

    #[test]
    fn a_missing_token_is_told_from_a_bad_one() {
        for values in [&[] as &[&[u8]], &[b"Basic eDp5"], &[b""], &[b"x"]] {
            assert_eq!(parsed(values), Err(CHALLENGE.into()), "{values:?}");
        }
        let twice: &[&[u8]] = &[b"Bearer a.b.c", b"Bearer a.b.c"];
        for values in [
            twice,
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"Bearer a b"],
            &[b"Bearer \xff"],
            &[b"Bearer \xc3\xa4"],
        ] {
            assert_eq!(parsed(values), Err(INVALID_TOKEN.into()), "{values:?}");
        }
    }
}
