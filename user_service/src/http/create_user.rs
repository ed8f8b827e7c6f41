//! `POST /users`.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use contract::MemberError;
use secrecy::SecretString;
use shared::actors::ask;
use shared::hashing::HashPassword;
use shared::http::{IdempotencyKey, JsonBody, Members, Problem, ProblemKind, RequestContext};
use shared::idempotency::IdempotentRequest;
use shared::identity::{Password, PasswordPolicy, Username};

use super::Api;
use super::answers::{add_consistency_token, etag, representation};
use super::openapi::{NewUser, User};
use crate::actors::user_reader::FindResponse;
use crate::domain::Written;
use crate::store::{Change, CreateUser};

/// Names the use case among the idempotency keys.
const SCOPE: &str = "POST /users";

/// Create a user
///
/// The name is 1 to 64 characters by RFC 8265 `UsernameCaseMapped` and unique without regard to
/// case, composition or width. The password is taken as it is, by RFC 8265 `OpaqueString`.
#[utoipa::path(
    post, path = "/users", operation_id = "createUser", tag = "users",
    params(("Idempotency-Key" = Option<String>, Header,
            description = "A repeated request with the same key gets the first answer for 24 hours",
            min_length = 1, max_length = 255, pattern = r"^[!#-\[\]-~]+$")),
    request_body = NewUser,
    responses((status = 201, description = "The user exists from here on", body = User, headers(
        ("Location" = String, description = "The user's path"),
        ("ETag" = String, description = "The user as they are"),
        ("Consistency-Token" = String, description = "A login with it waits for this write"),
    ))),
)]
pub(super) async fn create_user(
    api: web::Data<Api>,
    key: IdempotencyKey,
    context: RequestContext,
    body: JsonBody,
) -> Result<HttpResponse, Problem> {
    let JsonBody { members, bytes } = body;
    let (username, password) = parse(members, api.policy)?;
    let idempotency = key.0.map(|key| {
        let fingerprint = api.sealing_key.fingerprint(&[SCOPE.as_bytes(), &bytes]);
        IdempotentRequest { scope: SCOPE, key, fingerprint }
    });
    if let Some(request) = idempotency.clone()
        && let Some(first) = ask(&api.reader, FindResponse(request)).await??
    {
        return Ok(answer(&first));
    }
    let password_hash = ask(&api.hasher, HashPassword(password)).await??;
    let traceparent = context.traceparent;
    let create = CreateUser { username, password_hash, idempotency, traceparent };
    Ok(answer(&ask(&api.repository, Change::Create(create)).await??))
}

fn answer(written: &Written) -> HttpResponse {
    let mut builder = HttpResponse::Created();
    builder.insert_header((header::LOCATION, format!("/users/{}", written.user.id)));
    builder.insert_header(etag(&written.user).to_header());
    add_consistency_token(&mut builder, written.seq);
    builder.json(representation(&written.user))
}

fn parse(mut members: Members, policy: PasswordPolicy) -> Result<(Username, Password), Problem> {
    let (username, password) = (members.string("username"), members.secret("password"));
    members.finish()?;
    // Members that are missing have been refused by now.
    let username = parse_username(username.as_deref().unwrap_or_default());
    let password = parse_password("/password", &password.unwrap_or_default(), policy);
    match (username, password) {
        (Ok(username), Ok(password)) => Ok((username, password)),
        (username, password) => Err(refused([username.err(), password.err()])),
    }
}

/// A name as a client gave it, or what is wrong with it.
pub(super) fn parse_username(given: &str) -> Result<Username, MemberError> {
    Username::parse(given)
        .map_err(|refused| MemberError { pointer: "/username".into(), detail: refused.to_string() })
}

/// A new password as a client gave it, or what is wrong with it.
pub(super) fn parse_password(
    pointer: &str,
    given: &SecretString,
    policy: PasswordPolicy,
) -> Result<Password, MemberError> {
    Password::parse(given, policy)
        .map_err(|refused| MemberError { pointer: pointer.into(), detail: refused.to_string() })
}

/// 422 with all that is wrong.
pub(super) fn refused(errors: impl IntoIterator<Item = Option<MemberError>>) -> Problem {
    Problem::new(ProblemKind::RefusedValue, "values break their rules, see errors")
        .with_errors(errors.into_iter().flatten().collect())
}
