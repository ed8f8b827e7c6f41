//! Tokens, as clients and verifiers see them.

use serde::{Deserialize, Serialize};

/// The answer of `/login`: exactly this member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenResponse {
    /// A JWT, signed with EdDSA or ES256.
    pub token: String,
}

/// The claims of an access token (RFC 9068), times in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Subject: the user's id in decimal.
    pub sub: String,
    /// Audience.
    pub aud: String,
    /// Expires at: not valid from then on.
    pub exp: i64,
    /// Issued at.
    pub iat: i64,
    /// Not valid before: `iat` less the difference that clocks may have.
    pub nbf: i64,
    /// The token's unique id.
    pub jti: String,
    /// The session, by which the token is revoked: the `jti` of its first token, the same over all
    /// refreshes.
    pub sid: String,
    /// When its session began: when the password was given.
    pub auth_time: i64,
    /// The client that asked for it.
    pub client_id: String,
    /// The user's name when the token was issued.
    pub username: String,
    /// The user's security stamp: the position of the record that set the password that it was
    /// issued for (`Position::encode`). Opaque to clients. Tokens of versions that counted
    /// passwords lack it, and are refused.
    pub stamp: String,
}
