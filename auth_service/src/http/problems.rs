//! From each operation's errors to the problems that clients see.

use actix_web::http::header::WWW_AUTHENTICATE;
use shared::http::{Problem, ProblemKind};

use super::live_tokens::TokenRejection;
use crate::store::RevokeRefused;

/// Tells clients that a token is needed (RFC 6750 section 3).
pub(super) const CHALLENGE: &str = r#"Bearer realm="lockstep""#;
/// Tells clients that their token is not accepted.
pub(super) const INVALID_TOKEN: &str = r#"Bearer realm="lockstep", error="invalid_token""#;

/// Tells clients that their id and secret are needed (RFC 7617).
const CLIENT_CHALLENGE: &str = r#"Basic realm="lockstep clients", charset="UTF-8""#;

impl From<RevokeRefused> for Problem {
    fn from(refused: RevokeRefused) -> Self {
        match refused {
            RevokeRefused::AlreadyDead => invalid_token().with_source(refused),
            RevokeRefused::KeyReused => key_reused(),
            RevokeRefused::Outcome(_) => Self::internal(refused),
            RevokeRefused::Store(error) => error.into(),
        }
    }
}

impl From<TokenRejection> for Problem {
    fn from(rejection: TokenRejection) -> Self {
        match rejection {
            TokenRejection::Store(error) => {
                Self::new(ProblemKind::TokenNotJudged, "the service cannot read what it needs")
                    .with_source(error)
            }
            dead => invalid_token().with_source(dead),
        }
    }
}

/// The request carries no token that could be wrong: no error code (RFC 6750 section 3.1).
pub(super) fn missing_token() -> Problem {
    let detail = "send Authorization: Bearer with a token from POST /login";
    Problem::new(ProblemKind::InvalidToken, detail).with_header(WWW_AUTHENTICATE, CHALLENGE)
}

/// The same for every reason, which is logged and never sent to the client.
pub(super) fn invalid_token() -> Problem {
    let detail = "the token is malformed, expired, revoked or from another issuer";
    Problem::new(ProblemKind::InvalidToken, detail).with_header(WWW_AUTHENTICATE, INVALID_TOKEN)
}

pub(super) fn wrong_credentials() -> Problem {
    Problem::new(ProblemKind::WrongCredentials, "no user has this name and password")
        .with_header(WWW_AUTHENTICATE, CHALLENGE)
}

pub(super) fn key_reused() -> Problem {
    let detail = "a different request was sent with this Idempotency-Key before";
    Problem::new(ProblemKind::IdempotencyKeyReused, detail)
}

/// Whatever is wrong with the id and the secret of a service.
pub(super) fn invalid_client() -> Problem {
    let detail = "send Authorization: Basic with the id and the secret of a client";
    Problem::new(ProblemKind::InvalidClient, detail)
        .with_oauth_error("invalid_client")
        .with_header(WWW_AUTHENTICATE, CLIENT_CHALLENGE)
}

pub(super) fn no_clients() -> Problem {
    Problem::new(ProblemKind::NoClients, "the setting INTROSPECTION_CLIENTS lists no service")
}
