//! `/openapi.json`: generated from the handlers and from the types that they parse and send.

use shared::http::ProblemKind::{
    IdempotencyKeyReused, InvalidResetToken, InvalidToken, NoSuchUser, NotPermitted, NotYetKnown,
    PreconditionFailed, PreconditionRequired, RefusedValue, StorageFull, TooManyFailures,
    UsernameTaken, WrongCurrentPassword,
};
use shared::http::{
    IGNORED_BODY, OperationProblems, ProblemKind, TYPED_BODY, add_bearer_scheme, add_problems,
};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "user_service", description = "Creates, reads, changes and deletes users",
        license(name = "MIT OR Apache-2.0")),
    paths(
        super::create_user::create_user,
        super::list_users::list_users,
        super::read_user::read_user,
        super::update_user::update_user,
        super::delete_user::delete_user,
        super::end_sessions::end_sessions,
        super::password_reset::make_reset_token,
        super::password_reset::reset_password,
    ),
    tags(
        (name = "users", description = "Users"),
        (name = "administration", description = "For administrators"),
    ),
    modifiers(&BearerScheme)
)]
struct Document;

/// The problems of a token.
const TOKEN: &[ProblemKind] = &[InvalidToken, NotPermitted, NotYetKnown];

/// The problems of each operation, in addition to those of every operation.
const PROBLEMS: [OperationProblems; 8] = [
    (
        "createUser",
        &[
            TYPED_BODY,
            TOKEN,
            &[UsernameTaken, RefusedValue, IdempotencyKeyReused, PreconditionFailed, StorageFull],
        ],
    ),
    ("listUsers", &[TOKEN, &[PreconditionFailed]]),
    ("readUser", &[TOKEN, &[NoSuchUser, PreconditionFailed]]),
    (
        "updateUser",
        &[
            TYPED_BODY,
            TOKEN,
            &[
                InvalidToken,
                WrongCurrentPassword,
                TooManyFailures,
                NoSuchUser,
                UsernameTaken,
                PreconditionFailed,
            ],
            &[RefusedValue, PreconditionRequired, StorageFull],
        ],
    ),
    (
        "deleteUser",
        &[
            IGNORED_BODY,
            TOKEN,
            &[NoSuchUser, PreconditionFailed, PreconditionRequired, StorageFull],
        ],
    ),
    ("endSessions", &[IGNORED_BODY, TOKEN, &[NoSuchUser, StorageFull]]),
    ("makeResetToken", &[IGNORED_BODY, TOKEN, &[NoSuchUser]]),
    ("resetPassword", &[TYPED_BODY, &[InvalidResetToken, RefusedValue, StorageFull]]),
];

struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        add_bearer_scheme(document);
    }
}

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
