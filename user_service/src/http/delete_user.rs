//! `DELETE /users/{user_id}`.

use actix_web::{HttpResponse, web};
use shared::actors::ask;
use shared::http::{IfMatch, Problem, RequestContext};

use super::Api;
use super::answers::{add_consistency_token, precondition, representation};
use super::openapi::User;
use super::user_path::UserPath;
use crate::actors::user_repository::DeleteUser;

/// Delete a user
///
/// Answers with the user as they last were, and kills all their tokens.
#[utoipa::path(
    delete, path = "/users/{user_id}", operation_id = "deleteUser", tag = "users",
    params(
        ("user_id" = i64, Path, description = "The user's id", minimum = 1),
        ("If-Match" = Option<String>, Header,
         description = "ETags of which one must be the user's, or *: else 412",
         pattern = r#"^(\*|(W/)?"[!#-+\--~]*"(, ?(W/)?"[!#-+\--~]*")*)$"#),
    ),
    responses((status = 200, description = "The user as they last were", body = User, headers(
        ("Consistency-Token" = String, description = "A login with it waits for this write"),
    ))),
)]
pub(super) async fn delete_user(
    api: web::Data<Api>,
    path: UserPath,
    if_match: IfMatch,
    context: RequestContext,
) -> Result<HttpResponse, Problem> {
    api.check_if_match(&if_match)?;
    let precondition = precondition(if_match);
    let command = DeleteUser { id: path.0, precondition, traceparent: context.traceparent };
    let written = ask(&api.repository, command).await??;
    let mut builder = HttpResponse::Ok();
    add_consistency_token(&mut builder, written.seq);
    Ok(builder.json(representation(&written.user)))
}
