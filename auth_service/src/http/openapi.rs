//! The `OpenAPI` document, made from the handlers, and the schemas of their bodies: the wire types
//! themselves stay free of it.

use serde::Serialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

/// The document that `/openapi.json` shows.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(title = "auth_service", description = "Login gives a JWT, logout kills it.",
        license(name = "MIT OR Apache-2.0")),
    paths(super::login::login, super::logout::logout, super::verify::verify, super::jwks::jwks),
    tags((name = "tokens", description = "Tokens: made, killed and verified")),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.bearer_format = Some("JWT".to_owned());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// A name and a password.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    /// Compared without regard to case, width and composition
    #[schema(example = "testuser")]
    username: String,
    #[schema(example = "testpassword", format = Password)]
    password: String,
}

/// The answer to a login.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    /// A JWT of type `at+jwt`, signed with `EdDSA`
    token: String,
}

/// The answer to a logout.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusBody {
    #[schema(example = "logout successful")]
    status: String,
}

/// A JWK set.
#[derive(Serialize, ToSchema)]
pub(super) struct JwksBody {
    /// JSON Web Keys of type OKP on the curve Ed25519
    keys: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemBody {
    /// Names the kind of problem, and leads to its documentation
    #[schema(example = "/problems/wrong-credentials")]
    r#type: String,
    /// The same for every problem of one type
    title: String,
    /// The HTTP status
    status: u16,
    /// What was wrong this time
    detail: String,
    /// The members at fault, if any are
    #[schema(required = false)]
    errors: Vec<MemberErrorBody>,
}

/// A member at fault.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberErrorBody {
    /// JSON pointer into the body (RFC 6901)
    pointer: String,
    /// What is wrong with it
    detail: String,
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_path_is_in_the_document() {
        let document = super::document();
        let paths: Vec<&str> = document.paths.paths.keys().map(String::as_str).collect();
        assert_eq!(paths, ["/.well-known/jwks.json", "/login", "/logout", "/verify"]);
    }
}
