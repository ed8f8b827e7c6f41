//! Errors: one table from each kind of problem to its status, title and documentation.

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

macro_rules! problem_table {
    ($($kind:ident $status:literal $slug:literal $title:literal $meaning:literal;)*) => {
        /// Every kind of problem that a client can get.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemKind { $(#[doc = $meaning] $kind,)* }

        impl ProblemKind {
            /// All kinds, roughly by status.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            fn row(self) -> (u16, &'static str, &'static str, &'static str) {
                match self { $(Self::$kind => ($status, $slug, $title, $meaning),)* }
            }
        }
    };
}

problem_table! {
    Malformed 400 "malformed-request" "Malformed request"
        "The body, a header, the path or the query does not have the documented form.";
    InvalidToken 401 "invalid-token" "Missing or invalid token"
        "The Authorization header must carry a valid token from POST /login or /refresh. A token ends when it \
         expires, with its session, and with every change of its user's password; an operator can end tokens, too. Log in again.";
    WrongCredentials 401 "wrong-credentials" "Wrong username or password"
        "No user has this name and password.";
    InvalidClient 401 "invalid-client" "Unknown client or wrong secret"
        "The Authorization header must carry the id and the secret of a client (HTTP Basic), as the \
         setting INTROSPECTION_CLIENTS lists them.";
    WrongCurrentPassword 403 "wrong-current-password" "Wrong current password"
        "A change of password needs the user's current password in current_password.";
    NotPermitted 403 "not-permitted" "Not permitted"
        "The token is valid, but not that of an administrator, nor of the user whom the request is about.";
    InvalidResetToken 403 "invalid-reset-token" "Invalid reset token"
        "The token of a password reset is malformed, expired or used. One that was made before the user's password or sessions changed counts as used.";
    NoSuchPath 404 "no-such-path" "Not found"
        "This service has no resource at this path; /docs lists those that it has.";
    NoSuchUser 404 "no-such-user" "User not found"
        "The user does not exist or was deleted.";
    NoClients 404 "no-clients" "Not switched on"
        "The setting INTROSPECTION_CLIENTS lists no service that may introspect or revoke tokens.";
    MethodNotAllowed 405 "method-not-allowed" "Method not allowed"
        "The resource exists but does not support this method. The Allow header lists those that it supports.";
    HeadTooSlow 408 "head-too-slow" "Request head timeout"
        "The request line and the headers must arrive within 10 seconds.";
    BodyTooSlow 408 "body-too-slow" "Request body timeout"
        "The body must arrive within 10 seconds.";
    UsernameTaken 409 "username-taken" "Username already taken"
        "Another user has this name. Names are compared without regard to case, Unicode composition and width.";
    PreconditionFailed 412 "precondition-failed" "Precondition failed"
        "The user's current ETag does not satisfy If-Match or If-None-Match. Read the user again to get the current ETag.";
    BodyTooLarge 413 "body-too-large" "Body too large"
        "The body may have at most 16 KiB.";
    TargetTooLong 414 "target-too-long" "Request target too long"
        "The request line alone has more than 32 KiB.";
    UnsupportedMediaType 415 "unsupported-media-type" "Unsupported media type"
        "The body must be of the documented media type, in UTF-8, without compression. The Accept header names it.";
    RefusedValue 422 "refused-value" "Invalid value"
        "The body is well-formed, but a value breaks a rule. The errors member lists each value and its rule.";
    IdempotencyKeyReused 422 "idempotency-key-reused" "Idempotency key reused"
        "A different request was sent with the same Idempotency-Key. Use a new key for each new request.";
    PreconditionRequired 428 "precondition-required" "Precondition required"
        "This installation accepts changes only with an If-Match header.";
    HeadTooLarge 431 "head-too-large" "Request head too large"
        "The request line and the headers together may have at most 32 KiB.";
    TooManyFailures 429 "too-many-failures" "Too many wrong passwords"
        "Too many wrong passwords came for this user or from this address. Try again after the time in Retry-After.";
    Internal 500 "internal-error" "Internal error"
        "The request may or may not have been carried out. The service's log has the cause, under the X-Request-Id of this answer.";
    Overloaded 503 "overloaded" "Service overloaded"
        "The request was not carried out. Try again after the time in Retry-After.";
    NotYetApplied 503 "not-yet-applied" "Write not yet applied"
        "What the request depends on has not reached this service yet: the write that the Consistency-Token names, or what happened while it was interrupted. Try again.";
    NotYetKnown 503 "not-yet-known" "Token cannot be judged yet"
        "The service waits for news that tell whether the token is valid. It may be valid: keep it, and try again after the time in Retry-After.";
    LogoutNotConfirmed 503 "logout-not-confirmed" "Logout not confirmed"
        "The session has ended at this replica. The other replicas learn of it when the broker can be reached: until then they may accept its tokens.";
    SessionsNotEnded 503 "sessions-not-ended" "Other sessions not ended"
        "The session of this token has ended. The user's other sessions have not, because user_service has not confirmed it in time. Send the same request again.";
    VersionNotSupported 505 "version-not-supported" "HTTP version not supported"
        "The service speaks HTTP/1.1 and HTTP/1.0. A proxy in front can speak HTTP/2.";
    StorageFull 507 "storage-full" "Storage full"
        "The request was not carried out: the disk is full or read-only, or the database was removed.";
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
    /// The kind in a few words, the same for every problem of this kind.
    pub fn title(self) -> &'static str {
        self.row().2
    }
    /// Documentation for developers of clients.
    pub fn meaning(self) -> &'static str {
        self.row().3
    }
}

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
            type_uri: format!("/problems/{}", self.kind.slug()),
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
