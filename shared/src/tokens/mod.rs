//! Access tokens: signed with EdDSA (RFC 8037) or ES256 (RFC 7518), of type `at+jwt` (RFC 9068),
//! verified as RFC 8725 asks for; and what is remembered so that a dead token stays dead.
//!
//! [`token_set`] is what replicas of auth_service agree upon, [`token_set_view`] is how HTTP workers
//! read it, [`key_schedule`] says which key signs, [`key_trust`] which keys are believed, and
//! [`liveness`] is the rule that decides.

mod cached_verifier;
mod ended_stamps;
pub mod key_schedule;
pub mod key_trust;
pub mod liveness;
mod signing_key;
pub mod token_set;
pub mod token_set_view;
mod verifier;
mod verifying_key;

pub use cached_verifier::{CachedVerifier, NotVerified, VerifiedToken};
pub use ended_stamps::{EndedStamps, Whose};
pub use jsonwebtoken::jwk::Jwk;
pub use signing_key::{SigningKey, SigningKeyError};
pub use verifier::{TokenRefused, TokenRules, UnverifiedToken, Verifier};
pub use verifying_key::{VerifyingKey, VerifyingKeyError, jwk_of, public_bytes};

/// The `typ` of an access token (RFC 9068).
pub const TOKEN_TYPE: &str = "at+jwt";
