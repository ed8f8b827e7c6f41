//! Tokens, as clients and verifiers see them.

use serde::{Deserialize, Serialize};

use super::cursor::Position;
use super::token_record::TokenId;
use super::user::UserId;

/// The answer of `/login`: exactly this member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenResponse {
    /// A JWT, signed with EdDSA or ES256.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "eyJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiIxIn0.c2ln")
    )]
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
    /// What the token allows besides (RFC 9068 section 2.2.3): `admin` for administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The `scope` of an administrator's token.
pub const ADMIN_SCOPE: &str = "admin";

/// "This session has ended": the event `session.revoked.v1`, for services that verify tokens by the public keys
/// alone. Every token with this `sid` is refused from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRevoked {
    /// The session: [`Claims::sid`].
    pub sid: TokenId,
}

/// "Is this token alive?": what user_service asks auth_service over HTTP.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenQuestion {
    /// Identifies the question: the answer carries it, too.
    pub nonce: String,
    /// The token.
    pub token: String,
}

/// The answer to a [`TokenQuestion`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The question's nonce.
    pub nonce: String,
    /// What was found.
    #[serde(flatten)]
    pub verdict: TokenVerdict,
}

/// What is known of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum TokenVerdict {
    /// It is alive.
    Alive {
        /// Its user.
        id: UserId,
        /// The security stamp that it was issued for.
        stamp: Position,
        /// The user is an administrator.
        is_admin: bool,
    },
    /// It is not.
    Dead,
    /// auth_service cannot tell at the moment.
    Unknown,
}
