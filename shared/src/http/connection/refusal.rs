//! Answers to bytes that are no valid request: they look like all other problems, and appear in the
//! access log and in the metrics.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use actix_web::http::header::HttpDate;
use contract::problem::PROBLEM_JSON;

use crate::http::access_log::AccessLine;
use crate::http::context::{RequestContext, RequestIds};
use crate::http::metrics::HttpMetrics;
use crate::http::problem::{Problem, ProblemKind};

/// Makes the refusals of one worker.
pub(in crate::http) struct Refusals {
    ids: RequestIds,
    metrics: HttpMetrics,
}

impl Refusals {
    pub(in crate::http) fn new(metrics: HttpMetrics) -> Self {
        Self { ids: RequestIds::new(), metrics }
    }

    /// The bytes of the answer; to a HEAD request without the body (RFC 9110 section 9.3.2).
    pub(super) fn answer(
        &self,
        kind: ProblemKind,
        to_head: bool,
        client: Option<IpAddr>,
    ) -> Vec<u8> {
        let detail = match kind {
            ProblemKind::HeadTooSlow => "the request line and the headers did not arrive in time",
            ProblemKind::HeadTooLarge => "the request line or the headers are too large",
            ProblemKind::TargetTooLong => "the request line is too long",
            ProblemKind::VersionNotSupported => "the request line names another version of HTTP",
            _ => "this is not a request of HTTP/1.1 (RFC 9112)",
        };
        let (status, request_id) = (kind.status(), self.ids.next());
        let document = Problem::new(kind, detail).document();
        let body = serde_json::to_string(&document).unwrap_or_default();
        let (date, length) = (date(), body.len());
        let body = if to_head { "" } else { &body };
        let context = RequestContext { request_id, traceparent: None };
        let line = AccessLine {
            method: "",
            route: None,
            path: "",
            status: status.as_u16(),
            latency: Duration::ZERO,
            bytes: u64::try_from(body.len()).ok(),
            client,
            context: &context,
            cause: Some(kind.title()),
        };
        line.write(Some(&self.metrics));
        let request_id = context.request_id;
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\
             content-type: {PROBLEM_JSON}\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\nx-request-id: {request_id}\r\ndate: {date}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

#[expect(clippy::disallowed_methods, reason = "the Date header of RFC 9110; nothing depends on it")]
fn date() -> HttpDate {
    SystemTime::now().into()
}
