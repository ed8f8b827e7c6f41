//! `GET /.well-known/jwks.json`: what others verify tokens with.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;

use super::Api;
use super::bodies::JwkSet;
use crate::actors::key_ring::JWKS_MAX_AGE_S;

/// List the public keys
///
/// A JWK set (RFC 7517): the keys that sign, that will sign next, and that have signed tokens which still
/// live. A service that verifies tokens with it alone does not learn of logouts:
/// ask `/verify`.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "listKeys", tag = "tokens",
    responses((status = 200, description = "The keys", body = JwkSet, headers(
        ("Cache-Control" = String, description = "How long it may be kept"),
    ))),
)]
pub(super) async fn jwks(api: Data<Api>) -> HttpResponse {
    let keys = JwkSet { keys: api.token_set.jwks() };
    let max_age = format!("public, max-age={JWKS_MAX_AGE_S}");
    HttpResponse::Ok().insert_header((CACHE_CONTROL, max_age)).json(keys)
}
