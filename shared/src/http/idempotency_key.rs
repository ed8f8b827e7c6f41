//! The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use utoipa::IntoParams;

use super::problem::{Problem, ProblemKind};

/// The most characters of a key.
const KEY_MAX: usize = 255;

/// The key, if the client sent one.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyKey {
    /// 1 to 255 visible ASCII characters. For 24 hours, the same request with the same key gets the
    /// first answer again, and nothing is done twice
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = r"^[!#-\[\]-~]+$"
    )]
    pub key: Option<String>,
}

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut values = request.headers().get_all("idempotency-key");
        let key = match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().ok().and_then(unquote).map(Some).ok_or(()),
            (Some(_), Some(_)) => Err(()),
        };
        ready(key.map(|key| Self { key }).map_err(|()| {
            let detail = "Idempotency-Key must be one string of 1 to 255 visible ASCII characters";
            Problem::new(ProblemKind::Malformed, detail)
        }))
    }
}

/// The draft requires a quoted string; many clients send it without quotes and mean the same.
fn unquote(value: &str) -> Option<String> {
    let bare = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    let is_key = (1..=KEY_MAX).contains(&bare.len())
        && bare.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    is_key.then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_the_same_with_and_without_quotes() {
        assert_eq!(unquote("\"8e03978e\""), unquote("8e03978e"));
        for bad in ["", "\"\"", "\"a", "a\"", "a b", "\"a\\\"b\"", &"x".repeat(256)] {
            assert_eq!(unquote(bad), None, "{bad:?}");
        }
    }
}
