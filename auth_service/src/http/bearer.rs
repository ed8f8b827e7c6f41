//! The token in the `Authorization` header (RFC 6750).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpRequest};
use shared::http::Problem;

use super::problems::{invalid_token, missing_token};

/// A token as it was sent, not verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bearer(pub(super) String);

impl FromRequest for Bearer {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request.headers()))
    }
}

fn parse(headers: &HeaderMap) -> Result<Bearer, Problem> {
    let mut values = headers.get_all(AUTHORIZATION);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(if headers.contains_key(AUTHORIZATION) {
            invalid_token()
        } else {
            missing_token()
        });
    };
    let value = str::from_utf8(value.as_bytes()).map_err(|_| invalid_token())?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing_token());
    }
    let token = token.trim_matches(' ');
    // Without an early end, so that the compiler compares many bytes at once: a token has hundreds.
    let is_graphic = token.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic());
    if token.is_empty() || !is_graphic {
        return Err(invalid_token());
    }
    Ok(Bearer(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::problems::{CHALLENGE, INVALID_TOKEN};
    use super::*;
    use actix_web::ResponseError;
    use actix_web::http::header::WWW_AUTHENTICATE;
    use actix_web::test::TestRequest;

    fn parsed(values: &[&[u8]]) -> Result<Bearer, String> {
        let mut request = TestRequest::default();
        for value in values {
            request = request.append_header((AUTHORIZATION, *value));
        }
        parse(request.to_http_request().headers()).map_err(|problem| {
            let answer = problem.error_response();
            answer.headers().get(WWW_AUTHENTICATE).unwrap().to_str().unwrap().to_owned()
        })
    }

    #[test]
    fn the_scheme_is_read_without_regard_to_case() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c "] {
            assert_eq!(parsed(&[value.as_bytes()]), Ok(Bearer("a.b.c".into())), "{value}");
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
