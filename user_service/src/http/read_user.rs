//! `GET /users/{user_id}`.

use actix_web::{HttpResponse, web};
use shared::actors::ask;
use shared::http::{IfNoneMatch, Problem};

use super::Api;
use super::answers::{etag, no_such_user, representation};
use super::openapi::User;
use super::user_path::UserPath;
use crate::actors::user_reader::FindUser;

/// Read a user
#[utoipa::path(
    get, path = "/users/{user_id}", operation_id = "readUser", tag = "users",
    params(
        ("user_id" = i64, Path, description = "The user's id", minimum = 1),
        ("If-None-Match" = Option<String>, Header,
         description = "ETags that the client has, or *: then 304",
         pattern = r#"^(\*|(W/)?"[!#-+\--~]*"(, ?(W/)?"[!#-+\--~]*")*)$"#),
    ),
    responses(
        (status = 200, description = "The user", body = User, headers(
            ("ETag" = String, description = "The user as they are"),
        )),
        (status = 304, description = "The client has the user as they are", headers(
            ("ETag" = String, description = "The user as they are"),
        )),
    ),
)]
pub(super) async fn read_user(
    api: web::Data<Api>,
    path: UserPath,
    if_none_match: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let user = ask(&api.reader, FindUser(path.0)).await??.ok_or_else(no_such_user)?;
    let tag = etag(&user);
    if if_none_match.has(&tag) {
        return Ok(HttpResponse::NotModified().insert_header(tag.to_header()).finish());
    }
    Ok(HttpResponse::Ok().insert_header(tag.to_header()).json(representation(&user)))
}
