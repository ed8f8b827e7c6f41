//! `GET /users/{user_id}`.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use contract::UserRepresentation;
use shared::actors::ask;
use shared::http::{Bearer, NoBearer, Problem};

use super::Api;
use super::bodies::{etag, representation};
use super::parsing::{Conditions, UserPath};
use super::problems::no_such_user;
use crate::actors::user_reader::FindUser;

/// A browser may store the response to use it with `If-None-Match`, and must revalidate it each
/// time. Shared caches must not store it.
const REVALIDATE: &str = "private, no-cache";

/// Read a user
#[utoipa::path(
    get, path = "/users/{user_id}", operation_id = "readUser", tag = "users",
    params(UserPath, Conditions),
    security((), ("token" = [])),
    responses(
        (status = 200, description = "The user", body = UserRepresentation, headers(
            ("ETag" = String, description = "The user's current entity tag"),
            ("Cache-Control" = String, description = "private, no-cache"),
        )),
        (status = 304, description = "The client has the user's current state", headers(
            ("ETag" = String, description = "The user's current entity tag"),
        )),
    ),
)]
pub(super) async fn read_user(
    bearer: Result<Bearer, NoBearer>,
    api: web::Data<Api>,
    path: UserPath,
    conditions: Conditions,
) -> Result<HttpResponse, Problem> {
    api.access.may_use(path.user_id, bearer).await?;
    let user = ask(&api.reader, FindUser(path.user_id)).await??.ok_or_else(no_such_user)?;
    let wants = conditions.wants(&user)?;
    let mut builder = if wants { HttpResponse::Ok() } else { HttpResponse::NotModified() };
    builder.insert_header(etag(&user)).insert_header((CACHE_CONTROL, REVALIDATE));
    Ok(if wants { builder.json(representation(&user)) } else { builder.finish() })
}
