//! `/openapi.json`: made from the handlers, so that it cannot drift from them.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};

use contract::problem::PROBLEM_JSON;
use shared::http::ProblemKind;

/// A user: exactly these members.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of contract::UserRepresentation, which is light")]
pub(super) struct User {
    /// The user's number, never used again
    #[schema(minimum = 1)]
    id: i64,
    /// The name as it was given, in NFC
    #[schema(min_length = 1, max_length = 64)]
    username: String,
}

/// A user to create.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema of what create_user takes member by member")]
pub(super) struct NewUser {
    /// 1 to 64 characters that RFC 8265 `UsernameCaseMapped` allows
    #[schema(min_length = 1, max_length = 64, example = "testuser")]
    username: String,
    /// By default 8 to 128 characters that RFC 8265 `OpaqueString` allows
    #[schema(example = "testpassword", format = "password")]
    password: String,
}

/// What is to change: the name, the password, or both.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema of what update_user takes member by member")]
pub(super) struct ChangedUser {
    /// The new name
    #[schema(min_length = 1, max_length = 64, example = "newusername", nullable = false)]
    username: Option<String>,
    /// The new password; needs `current_password`
    #[schema(example = "newpassword", format = "password", nullable = false)]
    password: Option<String>,
    /// The password as it is now; only together with `password`
    #[schema(example = "testpassword", format = "password", nullable = false)]
    current_password: Option<String>,
}

/// An error (RFC 9457).
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of contract::ProblemDocument, which is light")]
struct Problem {
    /// Leads to the documentation of this kind of problem
    r#type: String,
    /// The kind of problem in a few words
    title: String,
    /// The HTTP status
    status: u16,
    /// What was wrong this time
    detail: String,
    /// The members of the body that are at fault
    #[schema(nullable = false)]
    errors: Option<Vec<MemberFault>>,
}

/// One member at fault.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of contract::MemberError, which is light")]
struct MemberFault {
    /// JSON pointer into the request's body (RFC 6901)
    pointer: String,
    /// What is wrong with it
    detail: String,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "user_service", description = "Creates, reads, renames and deletes users"),
    paths(
        super::create_user::create_user,
        super::list_users::list_users,
        super::read_user::read_user,
        super::update_user::update_user,
        super::delete_user::delete_user,
    ),
    components(schemas(Problem, MemberFault)),
    tags((name = "users", description = "Users"))
)]
struct Described;

use ProblemKind::{
    BodyTooLarge, BodyTooSlow, IdempotencyKeyReused, Internal, Malformed, NoSuchUser, Overloaded,
    PreconditionFailed, PreconditionRequired, RefusedValue, StorageFull, UnsupportedMediaType,
    UsernameTaken, WrongCurrentPassword,
};

/// What each operation can answer with, beside success.
const PROBLEMS: [(&str, &[ProblemKind]); 5] = [
    (
        "createUser",
        &[
            Malformed,
            BodyTooSlow,
            UsernameTaken,
            BodyTooLarge,
            UnsupportedMediaType,
            RefusedValue,
            IdempotencyKeyReused,
            Internal,
            Overloaded,
            StorageFull,
        ],
    ),
    ("listUsers", &[Malformed, Internal, Overloaded]),
    ("readUser", &[Malformed, NoSuchUser, Internal, Overloaded]),
    (
        "updateUser",
        &[
            Malformed,
            WrongCurrentPassword,
            NoSuchUser,
            BodyTooSlow,
            UsernameTaken,
            PreconditionFailed,
            BodyTooLarge,
            UnsupportedMediaType,
            RefusedValue,
            PreconditionRequired,
            Internal,
            Overloaded,
            StorageFull,
        ],
    ),
    (
        "deleteUser",
        &[
            Malformed,
            NoSuchUser,
            PreconditionFailed,
            PreconditionRequired,
            Internal,
            Overloaded,
            StorageFull,
        ],
    ),
];

/// The document of this service.
pub fn document() -> Document {
    let mut document = Described::openapi();
    for item in document.paths.paths.values_mut() {
        operations(item).for_each(add_problems);
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
}

fn add_problems(operation: &mut Operation) {
    let id = operation.operation_id.as_deref();
    let kinds = PROBLEMS.iter().find(|(name, _)| Some(*name) == id).map_or(&[][..], |row| row.1);
    let statuses: std::collections::BTreeSet<_> = kinds.iter().map(|kind| kind.status()).collect();
    for status in statuses {
        let titles: Vec<&str> =
            kinds.iter().filter(|kind| kind.status() == status).map(|kind| kind.title()).collect();
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description(titles.join("; or: "))
            .content(PROBLEM_JSON, content)
            .build();
        operation.responses.responses.insert(status.as_str().to_owned(), response.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_with_its_problems() {
        let mut document = document();
        let mut described = 0;
        for item in document.paths.paths.values_mut() {
            for operation in operations(item) {
                assert!(
                    operation.responses.responses.contains_key("400"),
                    "{:?}",
                    operation.operation_id
                );
                assert!(
                    operation.responses.responses.contains_key("503"),
                    "{:?}",
                    operation.operation_id
                );
                described += 1;
            }
        }
        assert_eq!(described, PROBLEMS.len());
    }
}
