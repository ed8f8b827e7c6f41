//! One table from each kind of problem to its status, title and documentation.

use actix_web::http::StatusCode;

macro_rules! problem_table {
    ($($kind:ident $status:literal $slug:literal $title:literal $meaning:literal $remedy:literal;)*) => {
        /// Every kind of problem that a client can get.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemKind { $(#[doc = $meaning] $kind,)* }

        impl ProblemKind {
            /// All kinds, roughly by status.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            fn row(self) -> Row {
                match self {
                    $(Self::$kind => Row {
                        status: $status, slug: $slug, title: $title, meaning: $meaning, remedy: $remedy,
                    },)*
                }
            }
        }
    };
}

/// What is known of a kind.
struct Row {
    status: u16,
    slug: &'static str,
    title: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

problem_table! {
    Malformed 400 "malformed-request" "Malformed request"
        "The body, a header, the path or the query does not have the documented form."
        "Correct the request as detail and errors say. The same request fails again.";
    InvalidToken 401 "invalid-token" "Missing or invalid token"
        "The Authorization header must carry a valid token from POST /login or /refresh. A token ends when it \
         expires, with its session, and with every change of its user's password; an operator can end tokens, too."
        "Log in again. The same token is never accepted again.";
    WrongCredentials 401 "wrong-credentials" "Wrong username or password"
        "No user has this name and password. The answer is the same whether or not the name exists."
        "Let the person type both again.";
    InvalidClient 401 "invalid-client" "Unknown client or wrong secret"
        "The Authorization header must carry the id and the secret of a client (HTTP Basic), as the \
         setting INTROSPECTION_CLIENTS lists them."
        "Correct the id or the secret in your service's configuration.";
    WrongCurrentPassword 403 "wrong-current-password" "Wrong current password"
        "A change of password needs the user's current password in current_password."
        "Let the person type the current password again.";
    NotPermitted 403 "not-permitted" "Not permitted"
        "The token is valid, but not that of an administrator, nor of the user whom the request is about."
        "Use the token of that user or of an administrator. Another login of the same user does not help.";
    InvalidResetToken 403 "invalid-reset-token" "Invalid reset token"
        "The token of a password reset is malformed, expired or used. One that was made before the user's password or sessions changed counts as used."
        "Have a new reset token made, and send it to the user.";
    NoSuchPath 404 "no-such-path" "Not found"
        "This service has no resource at this path."
        "Correct the path: /docs lists those that this service has. The other service may have it.";
    NoSuchUser 404 "no-such-user" "User not found"
        "The user does not exist or was deleted. An id is never used again."
        "Forget the id.";
    NoClients 404 "no-clients" "Not switched on"
        "The setting INTROSPECTION_CLIENTS lists no service that may introspect or revoke tokens."
        "Ask GET /verify, which needs no client, or have the setting set.";
    MethodNotAllowed 405 "method-not-allowed" "Method not allowed"
        "The resource exists but does not support this method."
        "Use one of the methods that the Allow header lists.";
    HeadTooSlow 408 "head-too-slow" "Request head timeout"
        "The request line and the headers must arrive within 10 seconds."
        "Open a new connection and send the request at once.";
    BodyTooSlow 408 "body-too-slow" "Request body timeout"
        "The body must arrive within 10 seconds."
        "Open a new connection and send the whole body at once.";
    UsernameTaken 409 "username-taken" "Username already taken"
        "Another user has this name. Names are compared without regard to case, Unicode composition and width."
        "Let the person choose another name.";
    PreconditionFailed 412 "precondition-failed" "Precondition failed"
        "The user's current ETag does not satisfy If-Match or If-None-Match: somebody else has changed the user."
        "Read the user again to get the current ETag, decide anew, and send the change with it.";
    BodyTooLarge 413 "body-too-large" "Body too large"
        "The body may have at most 16 KiB."
        "Send a smaller body: no documented body needs more.";
    TargetTooLong 414 "target-too-long" "Request target too long"
        "The request line alone has more than 32 KiB."
        "Send a shorter path and query: no documented one needs more.";
    UnsupportedMediaType 415 "unsupported-media-type" "Unsupported media type"
        "The body must be of the documented media type, in UTF-8, without compression."
        "Send the body in the media type that the Accept header names, with a Content-Type that says so.";
    RefusedValue 422 "refused-value" "Invalid value"
        "The body is well-formed, but a value breaks a rule."
        "Show the entries of errors beside the fields that their pointers name, and let the person correct them.";
    IdempotencyKeyReused 422 "idempotency-key-reused" "Idempotency key reused"
        "A different request was sent with the same Idempotency-Key."
        "Use a new key for each new request, and the same key only to repeat exactly the same request.";
    PreconditionRequired 428 "precondition-required" "Precondition required"
        "This installation accepts changes only with an If-Match header (REQUIRE_IF_MATCH)."
        "Read the user, and send the change with its ETag in If-Match.";
    HeadTooLarge 431 "head-too-large" "Request head too large"
        "The request line and the headers together may have at most 32 KiB."
        "Send fewer or shorter headers; cookies that the service does not need are the usual cause.";
    TooManyFailures 429 "too-many-failures" "Too many wrong passwords"
        "Too many wrong passwords came for this user or from this address."
        "Try again after the number of seconds in Retry-After. Behind a proxy, set TRUSTED_PROXIES, or all \
         clients count as one address.";
    Internal 500 "internal-error" "Internal error"
        "The service failed. The request may or may not have been carried out."
        "Read before you send it again, or repeat it with the same Idempotency-Key. The operator finds the cause \
         in the service's log, under the X-Request-Id of this answer.";
    Overloaded 503 "overloaded" "Service overloaded"
        "More requests came than the service can carry out in time, or its database does not answer. Unless detail says \
         otherwise, this one was not carried out."
        "Send the same request again after the number of seconds in Retry-After, and wait longer each time.";
    NotYetApplied 503 "not-yet-applied" "Write not yet applied"
        "What the request depends on has not reached this service yet: the write that the Consistency-Token names, or what happened while it was interrupted."
        "Send the same request again after the number of seconds in Retry-After.";
    NotYetKnown 503 "not-yet-known" "Token cannot be judged yet"
        "The service waits for news that tell whether the token is valid. It may be valid."
        "Keep the token, and send the same request again after the number of seconds in Retry-After. Do not log the person out.";
    LogoutNotConfirmed 503 "logout-not-confirmed" "Logout not confirmed"
        "The session has ended at this replica. The other replicas learn of it when the broker can be reached: until then they may accept its tokens."
        "Forget the token, and send the same request again to have the end confirmed.";
    SessionsNotEnded 503 "sessions-not-ended" "Other sessions not ended"
        "The session of this token has ended. The user's other sessions have not, because user_service has not confirmed it in time."
        "Send the same request again, with the same token.";
    VersionNotSupported 505 "version-not-supported" "HTTP version not supported"
        "The service speaks HTTP/1.1 and HTTP/1.0."
        "Use one of them. A proxy in front can speak HTTP/2.";
    StorageFull 507 "storage-full" "Storage full"
        "The request was not carried out: the disk is full or read-only, or the database was removed. Reading goes on."
        "Tell the operator, and try again later: the service goes on by itself when there is space.";
}

impl ProblemKind {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    /// The last part of the `type`.
    pub fn slug(self) -> &'static str {
        self.row().slug
    }
    /// The `type`: a reference to the page that explains this kind of problem.
    pub fn type_uri(self) -> String {
        format!("/problems/{}", self.slug())
    }
    /// The kind in a few words, the same for every problem of this kind.
    pub fn title(self) -> &'static str {
        self.row().title
    }
    /// What has happened.
    pub fn meaning(self) -> &'static str {
        self.row().meaning
    }
    /// What a client does about it.
    pub fn remedy(self) -> &'static str {
        self.row().remedy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_slug_of_its_own_and_a_valid_status() {
        let mut slugs: Vec<_> = ProblemKind::ALL.iter().map(|kind| kind.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            assert_eq!(kind.status().as_u16(), kind.row().status);
        }
    }
}
