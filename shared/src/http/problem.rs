//! Errors: what becomes of them when they are sent to a client.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};

use crate::actors::AskError;
use crate::bus::cloud_event::Undecodable;
use crate::store_error::StoreError;
use contract::problem::PROBLEM_JSON;
use contract::{MemberError, ProblemDocument};

pub use super::problem_kind::ProblemKind;

/// The most entries of a problem's `errors`: otherwise the request's body could make the list
/// arbitrarily long.
const MAX_ERRORS: usize = 16;
/// The most characters of a text that may repeat client input.
const MAX_TEXT: usize = 256;

/// An error to be sent to the client. Its source is logged, and never sent to the client.
#[derive(Debug)]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    errors: Vec<MemberError>,
    /// See [`Problem::with_oauth_error`].
    oauth_error: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem of this kind; `detail` describes this occurrence.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let problem = Self {
            kind,
            detail: detail.into(),
            errors: vec![],
            oauth_error: None,
            headers: vec![],
            source: None,
        };
        if kind.status() == StatusCode::SERVICE_UNAVAILABLE {
            return problem.with_header(header::RETRY_AFTER, "1");
        }
        problem
    }

    /// A fault of the service. Its cause is logged, and never sent to the client.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut problem = Self::new(
            ProblemKind::Internal,
            "the service failed; its log has the cause, under the X-Request-Id of this answer",
        );
        problem.source = Some(source.into());
        problem
    }

    /// The members of the body that are at fault.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<MemberError>) -> Self {
        self.errors = errors;
        self
    }

    /// One member at fault.
    #[must_use]
    pub fn with_error(mut self, pointer: &str, detail: impl Into<String>) -> Self {
        self.errors.push(MemberError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// The error code of RFC 6749 section 5.2, which clients of OAuth look for in the body.
    #[must_use]
    pub fn with_oauth_error(mut self, code: &'static str) -> Self {
        self.oauth_error = Some(code);
        self
    }

    /// Adds a header to the answer; left out if the value is not allowed in a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// The cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Its kind.
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// The body of the answer: its size is bounded for any number of faults.
    pub(super) fn document(&self) -> ProblemDocument {
        let shown = self.errors.iter().take(MAX_ERRORS).map(|error| MemberError {
            pointer: shortened(&error.pointer, MAX_TEXT).into(),
            detail: shortened(&error.detail, MAX_TEXT).into(),
        });
        let mut errors: Vec<_> = shown.collect();
        if let Some(more @ 1..) = self.errors.len().checked_sub(MAX_ERRORS) {
            let detail = format!("{more} more errors are not listed");
            errors.push(MemberError { pointer: String::new(), detail });
        }
        ProblemDocument {
            type_uri: self.kind.type_uri(),
            title: self.kind.title().into(),
            status: self.kind.status().as_u16(),
            detail: shortened(&self.detail, MAX_TEXT).into(),
            error: self.oauth_error.map(str::to_owned),
            errors,
        }
    }
}

/// The text, cut to `max` characters with an ellipsis.
pub(super) fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        _ => text.into(),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.title())
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut builder = HttpResponseBuilder::new(self.status_code());
        for header in &self.headers {
            builder.append_header(header.clone());
        }
        builder.content_type(PROBLEM_JSON);
        builder.body(serde_json::to_string(&self.document()).unwrap_or_default())
    }
}

impl From<AskError> for Problem {
    fn from(unanswered: AskError) -> Self {
        match unanswered {
            AskError::Full(_) => {
                Self::new(ProblemKind::Overloaded, "too many requests are waiting")
                    .with_source(unanswered)
            }
            AskError::Gone(_) => Self::internal(unanswered),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(_) => {
                Self::new(ProblemKind::StorageFull, "nothing was changed").with_source(error)
            }
            StoreError::Unavailable(_) => {
                Self::new(ProblemKind::Overloaded, "the database is not available")
                    .with_source(error)
            }
            StoreError::Unconfirmed(_) => {
                let detail = "the database has not confirmed the change, which may have been made: \
                              read before you send it again, or use an Idempotency-Key";
                Self::new(ProblemKind::Overloaded, detail).with_source(error)
            }
            StoreError::Failed(_) => Self::internal(error),
        }
    }
}

/// For what comes over HTTP from the other service.
impl From<Undecodable> for Problem {
    fn from(error: Undecodable) -> Self {
        match error {
            Undecodable::NotAuthentic(error) => {
                let detail =
                    "the message does not have the MAC of a service with the same sealing keys";
                Self::new(ProblemKind::InvalidToken, detail)
                    .with_header(header::WWW_AUTHENTICATE, "Lockstep-MAC")
                    .with_source(error)
            }
            other => {
                Self::new(ProblemKind::Malformed, "the message cannot be read").with_source(other)
            }
        }
    }
}

impl From<crate::hashing::HashRefused> for Problem {
    fn from(error: crate::hashing::HashRefused) -> Self {
        match error {
            crate::hashing::HashRefused::Full => {
                Self::new(ProblemKind::Overloaded, "too many passwords are waiting to be hashed")
            }
            crate::hashing::HashRefused::Fault(_) => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;

    #[actix_web::test]
    async fn a_problem_is_a_document_of_rfc_9457() {
        let problem = Problem::new(ProblemKind::RefusedValue, "see errors")
            .with_error("/username", "must not be empty");
        let answer = problem.error_response();
        assert_eq!(answer.headers().get("content-type").unwrap(), "application/problem+json");
        let body = to_bytes(answer.into_body()).await.unwrap();
        insta::assert_snapshot!(std::str::from_utf8(&body).unwrap(), @r#"{"type":"/problems/refused-value","title":"Invalid value","status":422,"detail":"see errors","errors":[{"pointer":"/username","detail":"must not be empty"}]}"#);
    }

    #[actix_web::test]
    async fn an_internal_error_tells_nothing_of_the_inside() {
        let problem = Problem::internal("the secret cause");
        let body = to_bytes(problem.error_response().into_body()).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret cause"));
        assert_eq!(problem.source().unwrap().to_string(), "the secret cause");
    }

    #[actix_web::test]
    async fn a_problem_is_of_bounded_size_however_much_is_wrong() {
        let long = "é".repeat(10_000);
        let error = MemberError { pointer: long.clone(), detail: long.clone() };
        let problem = Problem::new(ProblemKind::Malformed, long).with_errors(vec![error; 1_000]);
        let document = problem.document();
        assert_eq!(document.errors.len(), MAX_ERRORS + 1);
        assert_eq!(document.errors[MAX_ERRORS].detail, "984 more errors are not listed");
        let body = to_bytes(problem.error_response().into_body()).await.unwrap();
        assert!(body.len() < 20_000, "{}", body.len());
    }
}
