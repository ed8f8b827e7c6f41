//! Pages of other origins (the Fetch standard, section 3.3, "CORS protocol"): those that the settings name may call
//! the services from a browser, and no others.
//!
//! The services read no cookies, so browsers are never told that they may send them
//! (`Access-Control-Allow-Credentials`); tokens come in `Authorization`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};

/// What a page may send besides what every page may.
const REQUEST_HEADERS: &str = "Authorization, Content-Type, Consistency-Token, Idempotency-Key, If-Match, \
                               If-None-Match, X-Request-Id, traceparent";
/// What a page may read besides what every page may.
const ANSWER_HEADERS: &str =
    "Allow, Consistency-Token, ETag, Link, Location, Retry-After, WWW-Authenticate, X-Request-Id";
/// For how many seconds a browser need not ask again.
const MAX_AGE_S: &str = "600";

/// Where a page comes from, such as `https://example.com`: exactly the text that browsers send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is not an origin as browsers send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an origin such as https://app.example.com or http://localhost:3000: lower case, no path, no *, \
     and no port that is the default"
)]
pub struct NotAnOrigin;

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let (host, default_port) = match text.split_once("://") {
            Some(("https", host)) => (host, ":443"),
            Some(("http", host)) => (host, ":80"),
            _ => return Err(NotAnOrigin),
        };
        let is_host = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte)
        };
        let is_sent_so = !host.is_empty()
            && host.bytes().all(is_host)
            && !host.starts_with(':')
            && !host.ends_with(':')
            && !host.ends_with(default_port);
        is_sent_so.then(|| Self(text.to_owned())).ok_or(NotAnOrigin)
    }
}

/// The origins whose pages may call a service.
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins(Arc<[Origin]>);

impl AllowedOrigins {
    /// These and no others.
    pub fn new(origins: &[Origin]) -> Self {
        Self(origins.into())
    }

    fn allow(&self, origin: &HeaderValue) -> bool {
        self.0.iter().any(|allowed| allowed.0.as_bytes() == origin.as_bytes())
    }
}

/// What the answer to a request says of its origin.
pub(super) struct OriginVerdict {
    /// The request's origin, if its pages may read the answer.
    allowed: Option<HeaderValue>,
}

impl OriginVerdict {
    /// `None` if pages of no other origin may call the service.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        let origins =
            request.app_data::<AllowedOrigins>().filter(|origins| !origins.0.is_empty())?;
        let origin = request.headers().get(header::ORIGIN);
        Some(Self { allowed: origin.filter(|origin| origins.allow(origin)).cloned() })
    }

    pub(super) fn tell(self, headers: &mut HeaderMap) {
        // Also to those who are not allowed: a cache must not give one's answer to the other.
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let exposed = HeaderValue::from_static(ANSWER_HEADERS);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// The answer to a browser that asks what a page may send to a path with these methods. `None` if the request is
/// no such question, or comes from an origin that is not allowed.
pub(super) fn preflight(request: &HttpRequest, methods: &'static str) -> Option<HttpResponse> {
    let asks = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    OriginVerdict::of(request).filter(|verdict| asks && verdict.allowed.is_some())?;
    let mut answer = HttpResponse::build(StatusCode::NO_CONTENT);
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods));
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS));
    answer.insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S));
    Some(answer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send_and_nothing_else() {
        for origin in [
            "https://example.com",
            "http://localhost:3000",
            "http://[::1]:8080",
            "https://a-b.c:80",
        ] {
            assert_eq!(origin.parse::<Origin>().unwrap().to_string(), origin);
        }
        for other in [
            "*",
            "null",
            "example.com",
            "https://*.example.com",
            "https://example.com/",
            "https://Example.com",
            "https://example.com:443",
            "http://example.com:80",
            "https://user@example.com",
            "https://",
            "ftp://example.com",
            "",
        ] {
            assert_eq!(other.parse::<Origin>(), Err(NotAnOrigin), "{other}");
        }
    }
}
