//! The bodies of requests, parsed, and those of answers.

use contract::Claims;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use shared::http::{Form, Members, Problem};
use shared::identity::{Password, Username};
use shared::tokens::Jwk;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ObjectBuilder, Type};

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
    #[schema(schema_with = keys_schema)]
    pub(super) keys: Vec<Jwk>,
}

/// The keys are of a library's type, which has no schema.
fn keys_schema() -> Array {
    let text = |description: &str, example: &str| {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.description(Some(description)).examples([json!(example)])
    };
    let key = ObjectBuilder::new()
        .property("kty", text("`OKP` or `EC`", "OKP"))
        .property("crv", text("`Ed25519` or `P-256`", "Ed25519"))
        .property(
            "x",
            text("The public key, in base64url", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
        )
        .property("y", text("Only of an EC key", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"))
        .property(
            "kid",
            text("Its thumbprint (RFC 7638)", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        )
        .property("use", text("`sig`", "sig"))
        .property("alg", text("`EdDSA` or `ES256`, as the tokens' header says", "EdDSA"))
        .required("kty")
        .required("crv")
        .required("x")
        .required("kid")
        .required("use")
        .required("alg");
    Array::new(key)
}

/// The form of `/introspect` and `/revoke`. `token_type_hint` is ignored: there is one kind of token
#[derive(ToSchema)]
pub(super) struct TokenForm {
    /// A token from `POST /login`
    #[schema(example = "eyJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiIxIn0.c2ln")]
    pub(super) token: String,
}

impl TokenForm {
    /// # Errors
    /// 400 without a token.
    pub(super) fn parse(mut form: Form) -> Result<Self, Problem> {
        Ok(Self { token: form.take("token")? })
    }
}

/// What is told of a token (RFC 7662 section 2.2).
#[derive(Serialize, ToSchema)]
pub(super) struct Introspection {
    /// Whether `/verify` accepts the token
    active: bool,
    /// Absent if it does not
    #[serde(flatten)]
    token: Option<IntrospectedToken>,
}

/// The claims of a live token, times in seconds since 1970.
#[derive(Serialize, ToSchema)]
struct IntrospectedToken {
    /// The user's id in decimal
    #[schema(example = "1")]
    sub: String,
    /// The user's name when the token was issued
    #[schema(example = "testuser")]
    username: String,
    #[schema(value_type = String, example = "Bearer")]
    token_type: &'static str,
    client_id: String,
    iss: String,
    aud: String,
    exp: i64,
    iat: i64,
    nbf: i64,
    jti: String,
    /// The session
    sid: String,
    /// `admin` for administrators; otherwise absent
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

impl Introspection {
    /// About a token with these claims, or about a dead one.
    pub(super) fn of(claims: Option<&Claims>) -> Self {
        let token = claims.cloned().map(|claims| IntrospectedToken {
            sub: claims.sub,
            username: claims.username,
            token_type: "Bearer",
            client_id: claims.client_id,
            iss: claims.iss,
            aud: claims.aud,
            exp: claims.exp,
            iat: claims.iat,
            nbf: claims.nbf,
            jti: claims.jti,
            sid: claims.sid,
            scope: claims.scope,
        });
        Self { active: token.is_some(), token }
    }
}

/// What this service has of an authorization server (RFC 8414).
#[derive(Serialize, ToSchema)]
pub(super) struct Metadata {
    /// The tokens' `iss`
    pub(super) issuer: String,
    /// What a token can allow besides
    pub(super) scopes_supported: [&'static str; 1],
    /// `/.well-known/jwks.json`
    pub(super) jwks_uri: String,
    /// `/introspect`, if it is on
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) introspection_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) introspection_endpoint_auth_methods_supported: Option<[&'static str; 1]>,
    /// `/revoke`, if it is on
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revocation_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revocation_endpoint_auth_methods_supported: Option<[&'static str; 1]>,
    /// Empty: there is no authorization endpoint
    pub(super) response_types_supported: [&'static str; 0],
    /// Empty: tokens come from `POST /login`, which is no grant of OAuth
    pub(super) grant_types_supported: [&'static str; 0],
}
