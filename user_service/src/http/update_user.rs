//! `PUT /users/{user_id}`.

use actix_web::{HttpResponse, web};
use contract::{MemberError, UserId};
use secrecy::SecretString;
use shared::actors::ask;
use shared::hashing::{HashPassword, PasswordHash, Verification, VerifyPassword};
use shared::http::{IfMatch, JsonBody, Members, Problem, ProblemKind, RequestContext};
use shared::identity::{Password, PasswordPolicy, Username};

use super::Api;
use super::answers::{
    add_consistency_token, etag, no_such_user, precondition, precondition_failed, representation,
};
use super::create_user::{parse_password, parse_username, refused};
use super::openapi::{ChangedUser, User};
use super::user_path::UserPath;
use crate::actors::user_reader::FindCredentials;
use crate::actors::user_repository::{UpdateError, UpdateUser};
use crate::domain::{NewPassword, Precondition, Written};

/// How often the current password is checked if others change it meanwhile.
const ATTEMPTS: usize = 3;

/// What the body asks for: at least one of them.
struct Changes {
    username: Option<Username>,
    password: Option<PasswordChange>,
}

struct PasswordChange {
    new: Password,
    /// As it was given: what RFC 8265 does not allow is nobody's password.
    current: SecretString,
}

/// Change a user's name, password, or both
///
/// A change of password needs the current one, and kills all tokens of the user.
#[utoipa::path(
    put, path = "/users/{user_id}", operation_id = "updateUser", tag = "users",
    params(
        ("user_id" = i64, Path, description = "The user's id", minimum = 1),
        ("If-Match" = Option<String>, Header,
         description = "ETags of which one must be the user's, or *: else 412",
         pattern = r#"^(\*|(W/)?"[!#-+\--~]*"(, ?(W/)?"[!#-+\--~]*")*)$"#),
    ),
    request_body = ChangedUser,
    responses((status = 200, description = "The user as they now are", body = User, headers(
        ("ETag" = String, description = "The user as they now are"),
        ("Consistency-Token" = String, description = "A login with it waits for this write"),
    ))),
)]
pub(super) async fn update_user(
    api: web::Data<Api>,
    path: UserPath,
    if_match: IfMatch,
    context: RequestContext,
    body: JsonBody,
) -> Result<HttpResponse, Problem> {
    api.check_if_match(&if_match)?;
    let Changes { username, password } = parse(body.members, api.policy)?;
    let command = UpdateUser {
        id: path.0,
        username,
        password: None,
        precondition: precondition(if_match),
        traceparent: context.traceparent,
    };
    let written = match password {
        None => ask(&api.repository, command).await??,
        Some(change) => change_password(&api, command, change).await?,
    };
    let mut builder = HttpResponse::Ok();
    builder.insert_header(etag(&written.user).to_header());
    add_consistency_token(&mut builder, written.seq);
    Ok(builder.json(representation(&written.user)))
}

/// Checks the current password, then writes; anew if another one was written in between.
async fn change_password(
    api: &Api,
    command: UpdateUser,
    change: PasswordChange,
) -> Result<Written, Problem> {
    let mut hash = None;
    let mut last = Problem::from(UpdateError::PasswordChanged);
    for _ in 0..ATTEMPTS {
        let verified_password_version =
            verify_current(api, command.id, &command.precondition, &change.current).await?;
        let hash = match &hash {
            Some(hash) => PasswordHash::clone(hash),
            None => hash.insert(ask(&api.hasher, HashPassword(change.new.clone())).await??).clone(),
        };
        let attempt = UpdateUser {
            password: Some(NewPassword { hash, verified_password_version }),
            username: command.username.clone(),
            precondition: command.precondition.clone(),
            traceparent: command.traceparent.clone(),
            ..command
        };
        match ask(&api.repository, attempt).await? {
            Err(error @ UpdateError::PasswordChanged) => last = error.into(),
            outcome => return Ok(outcome?),
        }
    }
    Err(last)
}

/// The version of the password that the client was found to know. What is refused anyway costs no
/// hashing.
async fn verify_current(
    api: &Api,
    id: UserId,
    precondition: &Precondition,
    current: &SecretString,
) -> Result<i64, Problem> {
    let found = ask(&api.reader, FindCredentials(id)).await??.ok_or_else(no_such_user)?;
    if !precondition.holds(&found.user) {
        return Err(precondition_failed());
    }
    let wrong = || {
        Problem::new(ProblemKind::WrongCurrentPassword, "current_password is not the user's")
            .with_error("/current_password", "is wrong")
    };
    let password = Password::prepare(current).ok_or_else(wrong)?;
    let verify = VerifyPassword { password, stored: Some(found.password_hash) };
    match ask(&api.hasher, verify).await?? {
        Verification::Right { .. } => Ok(found.user.password_version),
        Verification::Wrong => Err(wrong()),
    }
}

fn parse(mut members: Members, policy: PasswordPolicy) -> Result<Changes, Problem> {
    let username = members.optional_string("username");
    let new = members.optional_secret("password");
    let current = members.optional_secret("current_password");
    members.finish()?;
    let mut errors = Vec::new();
    let mut note = |pointer: &str, detail: &str| {
        errors.push(Some(MemberError { pointer: pointer.into(), detail: detail.into() }));
    };
    match (&username, &new, &current) {
        (_, Some(_), None) => note("/current_password", "is needed for a change of password"),
        (_, None, Some(_)) => note("/password", "is needed beside current_password"),
        (None, None, None) => note("", "needs username, password or both"),
        _ => {}
    }
    let username = username.map(|given| parse_username(&given)).transpose();
    let new = new.map(|given| parse_password("/password", &given, policy)).transpose();
    match (username, new) {
        (Ok(username), Ok(new)) if errors.is_empty() => {
            let password = new.zip(current).map(|(new, current)| PasswordChange { new, current });
            Ok(Changes { username, password })
        }
        (username, new) => {
            errors.extend([username.err(), new.err()]);
            Err(refused(errors))
        }
    }
}
