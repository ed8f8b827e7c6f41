//! `GET /.well-known/jwks.json`: what others verify tokens with.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;

use super::Api;
use super::bodies::JwkSet;

/// How long the keys may be cached.
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
pub(super) async fn jwks(api: Data<Api>) -> HttpResponse {
    let keys = JwkSet(api.key_ring.jwk_set().clone());
    HttpResponse::Ok().insert_header((CACHE_CONTROL, MAX_AGE)).json(keys)
}
