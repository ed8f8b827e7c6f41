//! `POST /introspect` (RFC 7662): whether a token is alive, for services that hold a client secret.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use shared::http::{FormBody, Problem};

use super::Api;
use super::bodies::{Introspection, TokenForm};
use super::client::KnownClient;

/// Introspect a token
///
/// RFC 7662. A token is active exactly if `/verify` accepts it. Of any other text nothing is told but
/// that it is not active; if the service cannot tell, it answers 503.
#[utoipa::path(
    post, path = "/introspect", operation_id = "introspect", tag = "tokens",
    security(("client" = [])),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Whether the token is active, and its claims if it is",
        body = Introspection, headers(("Cache-Control" = String, description = "no-store")))),
)]
pub(super) async fn introspect(
    _: KnownClient,
    FormBody(form): FormBody,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let TokenForm { token } = TokenForm::parse(form)?;
    let token = api.tokens.judge(&token).await?;
    let answer = Introspection::of(token.as_deref().map(|token| &token.claims));
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}
