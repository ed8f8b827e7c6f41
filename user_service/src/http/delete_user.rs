//! `DELETE /users/{user_id}`.

use actix_web::{HttpResponse, web};
use contract::UserRepresentation;
use shared::actors::ask;
use shared::audit::{Action, AuditRecord};
use shared::http::{Bearer, IgnoredBody, NoBearer, Problem, RequestContext, RequestOrigin};

use super::Api;
use super::bodies::written;
use super::parsing::{Conditions, UserPath};
use crate::store::{Change, DeleteUser};

/// Delete a user
///
/// Returns the user's last state and invalidates all of their tokens. A body is ignored.
#[utoipa::path(
    delete, path = "/users/{user_id}", operation_id = "deleteUser", tag = "users",
    params(UserPath, Conditions),
    security((), ("token" = [])),
    responses((status = 200, description = "The user was deleted; this was their last state",
        body = UserRepresentation, headers(
            ("Consistency-Token" = String, description = "A login that carries it waits for this write"),
        ))),
)]
pub(super) async fn delete_user(
    bearer: Result<Bearer, NoBearer>,
    api: web::Data<Api>,
    path: UserPath,
    conditions: Conditions,
    context: RequestContext,
    origin: RequestOrigin,
    _: IgnoredBody,
) -> Result<HttpResponse, Problem> {
    let id = path.user_id;
    let delete = async |record: &mut AuditRecord| {
        record.about(id);
        record.by(api.access.may_use(id, bearer).await?);
        let precondition = conditions.for_write(&api)?;
        let delete = DeleteUser { id, precondition, traceparent: context.traceparent };
        let deleted = ask(&api.repository, Change::Delete(delete)).await??;
        Ok(written(HttpResponse::Ok(), &deleted))
    };
    api.audit.follow(Action::DeleteUser, origin, delete).await
}
