//! The identifiers of a request in logs and traces.

use std::cell::Cell;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use data_encoding::HEXLOWER;

use super::problem::Problem;
use crate::secrets::random_bytes;
use crate::traces::is_traceparent;

/// The headers, by names that are parsed once.
pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The most characters of a request id that is accepted from a client.
const REQUEST_ID_MAX: usize = 128;

/// The request's id and place in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// `X-Request-Id` as the client sent it, or a new one.
    pub request_id: String,
    /// W3C trace context (`traceparent`) of what the request causes: of its span, or without traces the
    /// client's, if it is well-formed.
    pub traceparent: Option<String>,
}

impl RequestContext {
    /// Reads the headers, and generates what is missing.
    pub(super) fn from_headers(headers: &HeaderMap, ids: &RequestIds) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let request_id = text(&X_REQUEST_ID).filter(|id| is_request_id(id)).map(str::to_owned);
        let traceparent = text(&TRACEPARENT).filter(|text| is_traceparent(text));
        Self {
            request_id: request_id.unwrap_or_else(|| ids.next()),
            traceparent: traceparent.map(str::to_owned),
        }
    }
}

/// Generates the ids of one worker's requests. They are unique but no secret: their random part is
/// drawn only once.
pub(super) struct RequestIds {
    /// Distinguishes this worker from all others.
    worker: String,
    made: Cell<u64>,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self { worker: HEXLOWER.encode(&random_bytes::<8>()), made: Cell::new(0) }
    }

    pub(super) fn next(&self) -> String {
        self.made.set(self.made.get() + 1);
        let mut id = String::with_capacity(32);
        id.push_str(&self.worker);
        HEXLOWER.encode_append(&self.made.get().to_be_bytes(), &mut id);
        id
    }
}

/// Visible ASCII, so that it is safe in any log.
fn is_request_id(text: &str) -> bool {
    (1..=REQUEST_ID_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl FromRequest for RequestContext {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let known = request.extensions().get::<Self>().cloned();
        ready(known.ok_or_else(|| Problem::internal("the request has no RequestContext")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_an_id_of_its_own() {
        let (one, other) = (RequestIds::new(), RequestIds::new());
        let ids = std::collections::BTreeSet::from([one.next(), one.next(), other.next()]);
        assert_eq!(ids.len(), 3);
        assert!(ids.iter().all(|id| id.len() == 32), "{ids:?}");
    }

    #[test]
    fn only_visible_ascii_is_taken_over_as_a_request_id() {
        assert!(is_request_id("3f-A_9.z/1"));
        for bad in ["", "a b", "a\tb", "é", &"x".repeat(129)] {
            assert!(!is_request_id(bad), "{bad:?}");
        }
    }
}
