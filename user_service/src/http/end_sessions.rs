//! `DELETE /users/{user_id}/sessions`.

use actix_web::{HttpResponse, web};
use shared::actors::ask;
use shared::audit::{Action, AuditRecord};
use shared::http::{
    Bearer, CONSISTENCY_TOKEN, IgnoredBody, NoBearer, Problem, RequestContext, RequestOrigin,
};

use super::Api;
use super::parsing::UserPath;
use crate::store::{Change, EndSessions};

/// End all sessions of a user
///
/// Needs the token of an administrator. All tokens of the user are invalid as soon as auth_service has
/// learned of it; the password stays, and a login that carries the Consistency-Token gets a valid token. A
/// body is ignored.
#[utoipa::path(
    delete, path = "/users/{user_id}/sessions", operation_id = "endSessions", tag = "administration",
    security(("token" = [])),
    params(UserPath),
    responses((status = 204, description = "The sessions have ended", headers(
        ("Consistency-Token" = String, description = "A login that carries it waits for this write"),
    ))),
)]
pub(super) async fn end_sessions(
    bearer: Result<Bearer, NoBearer>,
    api: web::Data<Api>,
    path: UserPath,
    context: RequestContext,
    origin: RequestOrigin,
    _: IgnoredBody,
) -> Result<HttpResponse, Problem> {
    let end = async |record: &mut AuditRecord| {
        record.about(path.user_id);
        end(bearer, &api, path, context, record).await
    };
    api.audit.follow(Action::EndSessions, origin, end).await
}

async fn end(
    bearer: Result<Bearer, NoBearer>,
    api: &Api,
    path: UserPath,
    context: RequestContext,
    record: &mut AuditRecord,
) -> Result<HttpResponse, Problem> {
    record.by(api.access.require_admin(bearer).await?);
    let end = EndSessions { id: path.user_id, stamp: None, traceparent: context.traceparent };
    let ended = ask(&api.repository, Change::EndSessions(end)).await??;
    let position = ended.position.encode();
    Ok(HttpResponse::NoContent().insert_header((CONSISTENCY_TOKEN, position)).finish())
}
