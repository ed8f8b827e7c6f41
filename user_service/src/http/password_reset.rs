//! `POST /users/{user_id}/reset-token` and `POST /password-reset`: a forgotten password is replaced.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use contract::UserRepresentation;
use shared::actors::ask;
use shared::audit::{Action, AuditRecord};
use shared::http::{
    Bearer, ClientPresence, IgnoredBody, JsonBody, Members, NoBearer, Problem, ProblemKind,
    RequestContext, RequestOrigin,
};

use super::Api;
use super::bodies::{PasswordReset, ResetTokenResponse, check_guessable, left};
use super::parsing::UserPath;
use super::problems::no_such_user;
use super::reset_token::ResetToken;
use crate::actors::user_reader::FindUser;
use crate::domain::{NewPassword, PasswordPermit, Precondition};
use crate::store::{Change, ChangeError, UpdateUser};

/// Make a reset token
///
/// Needs the token of an administrator. Whoever has the reset token can set the user's password once, with
/// `POST /password-reset`, until it expires (PASSWORD_RESET_LIFETIME) or the password or the sessions change in
/// another way. Send it to the user by a way that only they read. A body is ignored.
#[utoipa::path(
    post, path = "/users/{user_id}/reset-token", operation_id = "makeResetToken",
    tag = "administration", security(("token" = [])),
    params(UserPath),
    responses((status = 201, description = "The token", body = ResetTokenResponse, headers(
        ("Cache-Control" = String, description = "no-store"),
    ))),
)]
pub(super) async fn make_reset_token(
    bearer: Result<Bearer, NoBearer>,
    api: web::Data<Api>,
    path: UserPath,
    origin: RequestOrigin,
    _: IgnoredBody,
) -> Result<HttpResponse, Problem> {
    let make = async |record: &mut AuditRecord| {
        record.about(path.user_id);
        make(bearer, &api, path, record).await
    };
    api.audit.follow(Action::MakeResetToken, origin, make).await
}

async fn make(
    bearer: Result<Bearer, NoBearer>,
    api: &Api,
    path: UserPath,
    record: &mut AuditRecord,
) -> Result<HttpResponse, Problem> {
    record.by(api.access.require_admin(bearer).await?);
    let user = ask(&api.reader, FindUser(path.user_id)).await??.ok_or_else(no_such_user)?;
    let expires_s = api.clock.unix_s().saturating_add(api.reset_lifetime_s);
    let token = ResetToken { id: user.id, expires_s, stamp: user.stamp };
    let reset_token = token.encode(&api.sealing_key);
    let answer = ResetTokenResponse { reset_token, expires_in: api.reset_lifetime_s };
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}

/// Set a new password with a reset token
///
/// Ends all sessions of the user.
#[utoipa::path(
    post, path = "/password-reset", operation_id = "resetPassword", tag = "users",
    request_body = PasswordReset,
    responses((status = 200, description = "The user after the change", body = UserRepresentation,
        headers(
            ("ETag" = String, description = "The user's current entity tag"),
            ("Consistency-Token" = String, description = "A login that carries it waits for this write"),
        ))),
)]
pub(super) async fn reset_password(
    api: web::Data<Api>,
    client: ClientPresence,
    context: RequestContext,
    origin: RequestOrigin,
    JsonBody(members): JsonBody,
) -> Result<HttpResponse, Problem> {
    let reset =
        async |record: &mut AuditRecord| reset(&api, &client, context, members, record).await;
    api.audit.follow(Action::ResetPassword, origin, reset).await
}

async fn reset(
    api: &Api,
    client: &ClientPresence,
    context: RequestContext,
    members: Members,
    record: &mut AuditRecord,
) -> Result<HttpResponse, Problem> {
    let PasswordReset { reset_token, password } = PasswordReset::parse(members, api.policy)?;
    let token = ResetToken::decode(&reset_token, &api.sealing_key, api.clock.unix_s());
    let ResetToken { id, stamp, .. } = token.ok_or_else(invalid_reset_token)?;
    record.about(id);
    let permit = PasswordPermit::ResetOf(stamp);
    let found = ask(&api.reader, FindUser(id)).await??;
    let user = found.filter(|user| permit.permits(user)).ok_or_else(invalid_reset_token)?;
    check_guessable(&password, &user.username_key, api)?;
    let hash = api.hash(client, password).await?;
    let update = UpdateUser {
        id,
        username: None,
        password: Some(NewPassword { hash, permit }),
        precondition: Precondition::None,
        traceparent: context.traceparent,
    };
    let updated = match ask(&api.repository, Change::Update(update)).await? {
        // Another request has used it, or the user was changed or deleted meanwhile.
        Err(ChangeError::PasswordChanged | ChangeError::NoSuchUser) => {
            return Err(invalid_reset_token());
        }
        outcome => outcome?,
    };
    Ok(left(HttpResponse::Ok(), &updated))
}

fn invalid_reset_token() -> Problem {
    let detail = "the token is malformed, expired or used: ask for another one";
    Problem::new(ProblemKind::InvalidResetToken, detail)
}
