//! The bodies of requests, parsed, and those of answers.

use secrecy::SecretString;
use serde::Serialize;
use shared::http::{Members, Problem};
use shared::identity::{Password, Username};
use shared::tokens::Jwk;
use utoipa::ToSchema;

/// A name and a password that a client claims to belong together.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginAttempt {
    /// Compared without regard to case, Unicode composition and width
    // The forms in which it is looked up. The name is not judged: user_service may have accepted it
    // under the rules of another version.
    #[schema(value_type = String, rename = "username", example = "testuser")]
    pub(super) username_keys: Vec<String>,
    // None if it breaks the rules: then no user has this password.
    #[schema(value_type = String, example = "testpassword", format = Password)]
    pub(super) password: Option<Password>,
}

impl LoginAttempt {
    /// Prepares both as user_service did when they were set.
    pub(super) fn new(username: &str, password: &SecretString) -> Self {
        Self {
            username_keys: Username::lookup_keys(username),
            password: Password::prepare(password),
        }
    }

    /// # Errors
    /// 400 for wrong members.
    pub(super) fn parse(mut members: Members) -> Result<Self, Problem> {
        let (username, password) = (members.string("username"), members.secret("password"));
        members.finish()?;
        // `finish` has refused a body without them.
        Ok(Self::new(&username.unwrap_or_default(), &password.unwrap_or_default()))
    }
}

/// The answer to a logout: exactly this member.
#[derive(Serialize, ToSchema)]
pub(super) struct LogoutResponse {
    #[schema(example = "logout successful")]
    pub(super) status: &'static str,
}

/// A JWK set (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(super) struct JwkSet {
    /// JSON Web Keys of type OKP on the curve Ed25519, or of type EC on the curve P-256
    #[schema(value_type = Vec<Object>)]
    pub(super) keys: Vec<Jwk>,
}
