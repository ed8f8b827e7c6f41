//! `GET /.well-known/jwks.json`: what others verify tokens with.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use shared::actors::ask;
use shared::http::Problem;

use super::Api;
use super::bodies::JwkSet;
use crate::actors::ListKeys;

/// A key is shown for longer than this before it signs (with the rotation of keys).
const MAX_AGE: &str = "public, max-age=300";

/// List the public keys
///
/// A JWK set (RFC 7517). A service that verifies tokens with it alone does not learn of logouts:
/// ask `/verify`.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "listKeys", tag = "tokens",
    responses((status = 200, description = "The keys", body = JwkSet, headers(
        ("Cache-Control" = String, description = "How long it may be kept"),
    ))),
)]
pub(super) async fn jwks(api: Data<Api>) -> Result<HttpResponse, Problem> {
    let keys = JwkSet(ask(&api.key_ring, ListKeys).await?);
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, MAX_AGE)).json(keys))
}
