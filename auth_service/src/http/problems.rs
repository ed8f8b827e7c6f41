//! From each operation's errors to the problems that clients see.

use actix_web::http::header::WWW_AUTHENTICATE;
use shared::http::{CHALLENGE, Problem, ProblemKind, invalid_token};

use super::token_rejection::TokenRejection;
use crate::actors::key_ring::{KeyRingError, SignError};
use crate::store::RevokeRefused;

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
                Self::new(ProblemKind::NotYetKnown, "the service cannot read what it needs")
                    .with_source(error)
            }
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
