//! Access tokens: signed with EdDSA (RFC 8037), of type `at+jwt` (RFC 9068), verified as RFC 8725
//! asks for.

mod cached_verifier;
mod revoked;
mod signing_key;
mod verifier;

pub use cached_verifier::CachedVerifier;
pub use revoked::RevokedView;
pub use signing_key::{SigningKey, SigningKeyError};
pub use verifier::{TokenRefused, TokenRules, Verifier};

/// The `typ` of an access token (RFC 9068).
pub const TOKEN_TYPE: &str = "at+jwt";
