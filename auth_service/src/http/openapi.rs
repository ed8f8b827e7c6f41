//! `/openapi.json`: made from the handlers and the types that they parse and send.

use shared::http::ProblemKind::{
    IdempotencyKeyReused, InvalidClient, InvalidToken, LogoutNotConfirmed, NoClients,
    NotYetApplied, NotYetKnown, SessionsNotEnded, StorageFull, TooManyFailures, WrongCredentials,
};
use shared::http::{IGNORED_BODY, OperationProblems, TYPED_BODY, add_bearer_scheme, add_problems};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "auth_service", description = "Issues tokens at login, prolongs sessions, and ends them at logout",
        license(name = "MIT OR Apache-2.0")),
    paths(
        super::login::login,
        super::logout::logout,
        super::logout_all::logout_all,
        super::refresh::refresh,
        super::verify::verify,
        super::introspect::introspect,
        super::revoke::revoke,
        super::jwks::jwks,
        super::metadata::metadata,
    ),
    tags((name = "tokens", description = "Tokens")),
    modifiers(&Schemes)
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        add_bearer_scheme(document);
        let components = document.components.get_or_insert_default();
        let client = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
        components.add_security_scheme("client", client);
    }
}

/// The problems of each operation, beside those of every operation.
const PROBLEMS: [OperationProblems; 9] = [
    (
        "login",
        &[
            TYPED_BODY,
            &[WrongCredentials, TooManyFailures, IdempotencyKeyReused, NotYetApplied, StorageFull],
        ],
    ),
    (
        "logout",
        &[
            IGNORED_BODY,
            &[InvalidToken, NotYetKnown, IdempotencyKeyReused, LogoutNotConfirmed, StorageFull],
        ],
    ),
    ("logoutAll", &[IGNORED_BODY, &[InvalidToken, NotYetKnown, SessionsNotEnded, StorageFull]]),
    ("refresh", &[IGNORED_BODY, &[InvalidToken, NotYetKnown, StorageFull]]),
    ("verify", &[&[InvalidToken, NotYetKnown]]),
    ("introspect", &[TYPED_BODY, &[InvalidClient, NoClients, NotYetKnown]]),
    (
        "revoke",
        &[TYPED_BODY, &[InvalidClient, NoClients, NotYetKnown, LogoutNotConfirmed, StorageFull]],
    ),
    ("listKeys", &[]),
    ("readMetadata", &[]),
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
