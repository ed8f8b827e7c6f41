//! `POST /users`.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use contract::UserRepresentation;
use secrecy::ExposeSecret;
use shared::actors::ask;
use shared::audit::{Action, AuditRecord};
use shared::http::{
    Bearer, ClientPresence, IdempotencyKey, JsonBody, Members, NoBearer, Problem, RequestContext,
    RequestOrigin,
};
use shared::idempotency::IdempotentRequest;

use super::Api;
use super::bodies::{GivenPassword, NewUser, PASSWORD_HASH, left};
use super::parsing::ListConditions;
use crate::actors::user_reader::FindResponse;
use crate::domain::Written;
use crate::store::{Change, CreateUser};

/// The name of this use case among the idempotency keys.
const SCOPE: &str = "POST /users";

/// Create a user
///
/// The name must be 1 to 64 characters allowed by RFC 8265 `UsernameCaseMapped`, and unique; names
/// are compared without regard to case, Unicode composition and width. The password is never
/// trimmed or cut. An administrator may give the hash that another system made of it instead.
#[utoipa::path(
    post, path = "/users", operation_id = "createUser", tag = "users",
    params(IdempotencyKey, ListConditions),
    security((), ("token" = [])),
    request_body = NewUser,
    responses((status = 201, description = "The user was created", body = UserRepresentation,
        headers(
            ("Location" = String, description = "The path of the user"),
            ("ETag" = String, description = "The user's current entity tag"),
            ("Consistency-Token" = String, description = "A login that carries it waits for this write"),
        ))),
)]
pub(super) async fn create_user(
    bearer: Result<Bearer, NoBearer>,
    api: web::Data<Api>,
    key: IdempotencyKey,
    conditions: ListConditions,
    client: ClientPresence,
    (context, origin): (RequestContext, RequestOrigin),
    JsonBody(members): JsonBody,
) -> Result<HttpResponse, Problem> {
    let create = async |record: &mut AuditRecord| {
        record.by(if members.contains(PASSWORD_HASH) {
            api.access.require_admin(bearer).await?
        } else {
            api.access.may_create(bearer).await?
        });
        create(&api, (key, conditions), &client, context, members, record).await
    };
    api.audit.follow(Action::CreateUser, origin, create).await
}

async fn create(
    api: &Api,
    (key, conditions): (IdempotencyKey, ListConditions),
    client: &ClientPresence,
    context: RequestContext,
    members: Members,
    record: &mut AuditRecord,
) -> Result<HttpResponse, Problem> {
    let idempotency = key.key.map(|key| {
        let members = members.canonical();
        let parts = [SCOPE.as_bytes(), members.expose_secret()];
        let fingerprint = api.sealing_key.fingerprint(&parts);
        IdempotentRequest { scope: SCOPE, key, fingerprint }
    });
    let NewUser { username, password, .. } = NewUser::parse(members, api)?;
    record.claims(username.key());
    conditions.for_write()?;
    if let Some(request) = idempotency.clone()
        && let Some(first) = ask(&api.reader, FindResponse(request)).await??
    {
        record.about(first.user.id);
        return Ok(answer(&first));
    }
    let password_hash = match password {
        GivenPassword::Password(password) => api.hash(client, password).await?,
        GivenPassword::Hash(hash) => hash,
    };
    let traceparent = context.traceparent;
    let create = CreateUser { username, password_hash, idempotency, traceparent };
    let created = ask(&api.repository, Change::Create(create)).await??;
    record.about(created.user.id);
    Ok(answer(&created))
}

fn answer(created: &Written) -> HttpResponse {
    let mut builder = HttpResponse::Created();
    builder.insert_header((header::LOCATION, format!("/users/{}", created.user.id)));
    left(builder, created)
}
