//! `GET /.well-known/jwks.json`: what others verify tokens with.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use shared::actors::ask;
use shared::http::Problem;

use super::Api;
use super::openapi::{JwksBody, ProblemBody};
use crate::actors::ListKeys;

/// A key is shown for longer than this before it signs (with the rotation of keys).
const MAX_AGE: &str = "public, max-age=300";

/// Lists the public keys
///
/// A JWK set (RFC 7517). Whoever verifies by it alone does not learn of logouts: ask `/verify`.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "tokens",
    responses(
        (status = 200, description = "The keys", body = JwksBody, headers(
            ("Cache-Control" = String, description = "How long it may be kept"))),
        (status = 503, description = "Too much is in hand", body = ProblemBody,
            content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub(super) async fn jwks(handles: Data<Api>) -> Result<HttpResponse, Problem> {
    let keys = ask(&handles.key_ring, ListKeys).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, MAX_AGE)).json(keys))
}
