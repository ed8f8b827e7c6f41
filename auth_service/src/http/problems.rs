//! From each operation's errors to the problems that clients see.

use actix_web::http::header::WWW_AUTHENTICATE;
use shared::http::{Problem, ProblemKind};

use super::live_tokens::TokenRejection;
use crate::actors::key_ring::{KeyRingError, SignError};
use crate::store::RevokeRefused;

/// Tells clients that a token is needed (RFC 6750 section 3).
pub(super) const CHALLENGE: &str = r#"Bearer realm="lockstep""#;
/// Tells clients that their token is not accepted.
pub(super) const INVALID_TOKEN: &str = r#"Bearer realm="lockstep", error="invalid_token""#;

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
            TokenRejection::Store(error) => Self::internal(error),
            TokenRejection::Unknown(doubt) => {
                let detail = "whether the token is valid cannot be told at this moment";
                Self::new(ProblemKind::NotYetKnown, detail).with_source(doubt)
            }
            TokenRejection::NotOurs | TokenRejection::Dead(_) => {
                invalid_token().with_source(rejection)
            }
        }
    }
}

impl From<SignError> for Problem {
    fn from(error: SignError) -> Self {
        match error {
            SignError::NoKey => {
                Self::new(ProblemKind::Overloaded, "no key is ready to sign tokens")
                    .with_source(error)
            }
            SignError::Ask(error) | SignError::Keys(KeyRingError::Ask(error)) => error.into(),
            SignError::Keys(KeyRingError::Store(error)) => error.into(),
            SignError::Keys(_) | SignError::Sign(_) => Self::internal(error),
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
