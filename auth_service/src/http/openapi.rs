//! `/openapi.json`: made from the handlers and the types that they parse and send.

use shared::http::ProblemKind::{
    IdempotencyKeyReused, InvalidToken, NotYetApplied, NotYetKnown, StorageFull, TooManyFailures,
    WrongCredentials,
};
use shared::http::{IGNORED_BODY, JSON_BODY, OperationProblems, add_problems};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "auth_service", description = "Issues tokens at login, prolongs sessions, and ends them at logout",
        license(name = "MIT OR Apache-2.0")),
    paths(super::login::login, super::logout::logout, super::refresh::refresh, super::verify::verify,
        super::jwks::jwks),
    tags((name = "tokens", description = "Tokens")),
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

/// The problems of each operation, beside those of every operation.
const PROBLEMS: [OperationProblems; 5] = [
    (
        "login",
        &[
            JSON_BODY,
            &[WrongCredentials, TooManyFailures, IdempotencyKeyReused, NotYetApplied, StorageFull],
        ],
    ),
    ("logout", &[IGNORED_BODY, &[InvalidToken, IdempotencyKeyReused, NotYetKnown, StorageFull]]),
    ("refresh", &[IGNORED_BODY, &[InvalidToken, NotYetKnown, StorageFull]]),
    ("verify", &[&[InvalidToken, NotYetKnown]]),
    ("listKeys", &[]),
];

/// The document of this service.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    add_problems(&mut document, &PROBLEMS);
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::http::not_in_both;

    #[test]
    fn the_table_names_every_operation_and_no_other() {
        assert_eq!(not_in_both(&document(), &PROBLEMS), [""; 0]);
    }
}
