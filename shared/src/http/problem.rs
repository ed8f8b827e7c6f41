//! Errors: one table from each kind of problem to its status, title and documentation.

use std::error::Error;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};

use crate::actors::AskError;
use contract::problem::PROBLEM_JSON;
use contract::{MemberError, ProblemDocument};

macro_rules! problem_table {
    ($($kind:ident $status:literal $slug:literal $title:literal $meaning:literal;)*) => {
        /// Every kind of problem that a client can meet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemKind { $(#[doc = $meaning] $kind,)* }

        impl ProblemKind {
            /// All of them, in the order of their status.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            fn row(self) -> (u16, &'static str, &'static str, &'static str) {
                match self { $(Self::$kind => ($status, $slug, $title, $meaning),)* }
            }
        }
    };
}

problem_table! {
    Malformed 400 "malformed-request" "The request has the wrong form"
        "The body, a header, the path or the query is not of the form that is documented.";
    InvalidToken 401 "invalid-token" "A live token is needed"
        "The Authorization header holds no token of this service that is still alive.";
    WrongCredentials 401 "wrong-credentials" "Wrong username or password"
        "No user has this name and password.";
    WrongCurrentPassword 403 "wrong-current-password" "The current password is wrong"
        "A change of password needs the password as it is now.";
    NoSuchPath 404 "no-such-path" "There is nothing at this path"
        "The path is not one of this service's.";
    NoSuchUser 404 "no-such-user" "There is no such user"
        "The user does not exist or was deleted.";
    MethodNotAllowed 405 "method-not-allowed" "The path does not take this method"
        "The Allow header names the methods that it takes.";
    BodyTooSlow 408 "body-too-slow" "The body did not arrive"
        "A body must arrive within 10 seconds.";
    UsernameTaken 409 "username-taken" "The username is taken"
        "Another user has this name; case, composition and width do not tell names apart.";
    PreconditionFailed 412 "precondition-failed" "The user has changed"
        "The If-Match header does not name the user's present ETag: read it again.";
    BodyTooLarge 413 "body-too-large" "The body is too large"
        "A body may have at most 16 KiB.";
    UnsupportedMediaType 415 "unsupported-media-type" "The body must be plain JSON"
        "The Content-Type must be application/json, in UTF-8, without a Content-Encoding.";
    RefusedValue 422 "refused-value" "A value is refused"
        "The body has the right form, but a value breaks a rule.";
    IdempotencyKeyReused 422 "idempotency-key-reused" "The idempotency key stands for another request"
        "Another request came with this Idempotency-Key before: take a new key.";
    PreconditionRequired 428 "precondition-required" "An If-Match header is needed"
        "This installation takes changes only with an If-Match header.";
    TooManyFailures 429 "too-many-failures" "Too many wrong passwords"
        "Too many wrong passwords came for this user or from this address: try again after the time in Retry-After.";
    Internal 500 "internal-error" "The service failed"
        "Whether anything was changed is unknown; the log tells more under the request id.";
    Overloaded 503 "overloaded" "Too much is in hand"
        "Nothing was done: try again after the time in Retry-After.";
    NotYetApplied 503 "not-yet-applied" "The write has not arrived yet"
        "The write that the Consistency-Token names did not arrive in time: try again.";
    StorageFull 507 "storage-full" "There is no room left"
        "Nothing was done: the disk is full or cannot be written.";
}

impl ProblemKind {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    /// The last part of the `type`.
    pub fn slug(self) -> &'static str {
        self.row().1
    }
    /// A few words, always the same.
    pub fn title(self) -> &'static str {
        self.row().2
    }
    /// What a developer should know.
    pub fn meaning(self) -> &'static str {
        self.row().3
    }
}

/// An error on its way to the client. Its source goes to the access log alone.
#[derive(Debug)]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    errors: Vec<MemberError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem of this kind; `detail` says what was wrong this time.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let problem =
            Self { kind, detail: detail.into(), errors: vec![], headers: vec![], source: None };
        match kind {
            ProblemKind::Overloaded | ProblemKind::NotYetApplied => {
                problem.with_header(header::RETRY_AFTER, "1")
            }
            _ => problem,
        }
    }

    /// A fault of ours: the client learns nothing of it.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut problem = Self::new(
            ProblemKind::Internal,
            "the service failed; its log tells more under the X-Request-Id of this answer",
        );
        problem.source = Some(source.into());
        problem
    }

    /// Members of the body that are at fault.
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

    /// A header of the answer. A value that is no header value is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// What was behind it, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Its kind.
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    fn document(&self) -> ProblemDocument {
        ProblemDocument {
            type_uri: format!("/problems/{}", self.kind.slug()),
            title: self.kind.title().into(),
            status: self.kind.status().as_u16(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
        }
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
                Self::new(ProblemKind::Overloaded, "too many requests wait already")
                    .with_source(unanswered)
            }
            AskError::Gone(_) => Self::internal(unanswered),
        }
    }
}

impl From<crate::sqlite::StoreError> for Problem {
    fn from(error: crate::sqlite::StoreError) -> Self {
        match error {
            crate::sqlite::StoreError::Full(_) => {
                Self::new(ProblemKind::StorageFull, "nothing was changed").with_source(error)
            }
            crate::sqlite::StoreError::Failed(_) => Self::internal(error),
        }
    }
}

impl From<crate::hashing::HashRefused> for Problem {
    fn from(error: crate::hashing::HashRefused) -> Self {
        match error {
            crate::hashing::HashRefused::Full => {
                Self::new(ProblemKind::Overloaded, "too many passwords wait to be hashed")
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
        insta::assert_snapshot!(std::str::from_utf8(&body).unwrap(), @r#"{"type":"/problems/refused-value","title":"A value is refused","status":422,"detail":"see errors","errors":[{"pointer":"/username","detail":"must not be empty"}]}"#);
    }

    #[actix_web::test]
    async fn an_internal_error_tells_nothing_of_the_inside() {
        let problem = Problem::internal("the secret cause");
        let body = to_bytes(problem.error_response().into_body()).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret cause"));
        assert_eq!(problem.source().unwrap().to_string(), "the secret cause");
    }

    #[test]
    fn every_kind_has_a_slug_of_its_own_and_a_valid_status() {
        let mut slugs: Vec<_> = ProblemKind::ALL.iter().map(|kind| kind.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            assert_eq!(kind.status().as_u16(), kind.row().0);
        }
    }
}
