//! `PUT /users/{user_id}`.

use actix_web::{HttpResponse, web};
use contract::{UserId, UserRepresentation};
use secrecy::SecretString;
use shared::actors::ask;
use shared::audit::{Action, Actor, AuditRecord};
use shared::hashing::{PasswordHash, Stored, Verification, VerifyPassword};
use shared::http::{
    Bearer, ClientAddress, ClientPresence, JsonBody, Members, NoBearer, Problem, ProblemKind,
    RequestContext, RequestOrigin,
};
use shared::identity::{Password, Username};

use super::Api;
use super::bodies::{UserChanges, check_guessable, left};
use super::parsing::{Conditions, UserPath};
use super::problems::{no_such_user, precondition_failed};
use crate::actors::user_reader::FindCredentials;
use crate::domain::{NewPassword, PasswordPermit, Written};
use crate::store::{Change, ChangeError, UpdateUser};

/// How often the current password is checked at most, if other requests change it meanwhile.
const ATTEMPTS: usize = 3;

/// A request without its members.
struct Request {
    id: UserId,
    conditions: Conditions,
    client: ClientPresence,
    address: ClientAddress,
    context: RequestContext,
    bearer: Result<Bearer, NoBearer>,
}

/// A change of password, and the address that the request came from.
struct PasswordChange {
    new: Password,
    /// None if an administrator sets it.
    current: Option<SecretString>,
    client: ClientPresence,
    address: ClientAddress,
}

/// Change a user's name, password, or both
///
/// A change of password requires the current password, or the token of an administrator, and invalidates
/// all of the user's tokens.
#[utoipa::path(
    put, path = "/users/{user_id}", operation_id = "updateUser", tag = "users",
    params(UserPath, Conditions), security((), ("token" = [])),
    request_body = UserChanges,
    responses((status = 200, description = "The user after the change", body = UserRepresentation,
        headers(
            ("ETag" = String, description = "The user's current entity tag"),
            ("Consistency-Token" = String, description = "A login that carries it waits for this write"),
        ))),
)]
pub(super) async fn update_user(
    api: web::Data<Api>,
    path: UserPath,
    conditions: Conditions,
    (client, address, origin): (ClientPresence, ClientAddress, RequestOrigin),
    context: RequestContext,
    bearer: Result<Bearer, NoBearer>,
    JsonBody(members): JsonBody,
) -> Result<HttpResponse, Problem> {
    let action =
        if members.contains("password") { Action::ChangePassword } else { Action::UpdateUser };
    let request = Request { id: path.user_id, conditions, client, address, context, bearer };
    let update = async |record: &mut AuditRecord| update(&api, request, members, record).await;
    api.audit.follow(action, origin, update).await
}

async fn update(
    api: &Api,
    request: Request,
    members: Members,
    record: &mut AuditRecord,
) -> Result<HttpResponse, Problem> {
    let Request { id, conditions, client, address, context, bearer } = request;
    record.about(id);
    let sets_unproved = members.contains("password") && !members.contains("current_password");
    let actor = if sets_unproved && bearer.is_ok() {
        api.access.may_set_password(id, bearer).await?
    } else {
        api.access.may_use(id, bearer).await?
    };
    record.by(actor);
    let proves_itself = !(sets_unproved && matches!(actor, Actor::Administrator(_)));
    let precondition = conditions.for_write(api)?;
    let changes = UserChanges::parse(members, id, api.policy, proves_itself)?;
    let command = UpdateUser {
        id,
        username: changes.username,
        password: None,
        precondition,
        traceparent: context.traceparent,
    };
    let updated = match changes.password {
        None => ask(&api.repository, Change::Update(command)).await??,
        Some(new) => {
            let current = changes.current_password;
            let change = PasswordChange { new, current, client, address };
            change_password(api, command, &change).await?
        }
    };
    Ok(left(HttpResponse::Ok(), &updated))
}

/// Checks the current password, if it is needed, then writes. Repeats both if another request changed
/// the password in between.
async fn change_password(
    api: &Api,
    command: UpdateUser,
    change: &PasswordChange,
) -> Result<Written, Problem> {
    let mut hash = None;
    let mut last = Problem::from(ChangeError::PasswordChanged);
    for _ in 0..ATTEMPTS {
        let permit = change.client.hashed(permit(api, &command, change)).await?;
        let hash = if let Some(hash) = &hash {
            PasswordHash::clone(hash)
        } else {
            hash.insert(api.hash(&change.client, change.new.clone()).await?).clone()
        };
        let attempt = UpdateUser {
            password: Some(NewPassword { hash, permit }),
            username: command.username.clone(),
            precondition: command.precondition.clone(),
            traceparent: command.traceparent.clone(),
            ..command
        };
        match ask(&api.repository, Change::Update(attempt)).await? {
            Err(error @ ChangeError::PasswordChanged) => last = error.into(),
            outcome => return Ok(outcome?),
        }
    }
    Err(last)
}

/// Why the client may set the password. A change that is refused anyway costs no hashing.
async fn permit(
    api: &Api,
    command: &UpdateUser,
    change: &PasswordChange,
) -> Result<PasswordPermit, Problem> {
    let id = command.id;
    let found = ask(&api.reader, FindCredentials(id)).await??.ok_or_else(no_such_user)?;
    if !command.precondition.holds(&found.user) {
        return Err(precondition_failed());
    }
    let name = command.username.as_ref().map_or(&*found.user.username, Username::key);
    check_guessable(&change.new, name, api)?;
    let Some(current) = &change.current else { return Ok(PasswordPermit::Administrator) };
    let present = found.user.password_version;
    let guess = api.guesses.begin(&id.to_string(), present, change.address).await?;
    let is_right = is_current(api, found.password_hash, current).await?;
    guess.settle(is_right);
    is_right.then_some(PasswordPermit::KnowsVersion(present)).ok_or_else(|| {
        Problem::new(ProblemKind::WrongCurrentPassword, "current_password is wrong")
            .with_error("/current_password", "is wrong")
    })
}

async fn is_current(
    api: &Api,
    stored: PasswordHash,
    current: &SecretString,
) -> Result<bool, Problem> {
    // `None` for a text with control characters, which no stored password contains.
    let Some(password) = Password::prepare(current) else { return Ok(false) };
    let verify = VerifyPassword { password, stored: Stored::Own(stored) };
    Ok(ask(&api.hasher, verify).await?? != Verification::Wrong)
}
