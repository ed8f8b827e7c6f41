//! `POST /revoke` (RFC 7009): a logout by a service that holds a client secret.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use shared::audit::{Action, Actor, AuditRecord};
use shared::http::{FormBody, Problem, RequestOrigin};

use super::Api;
use super::bodies::TokenForm;
use super::client::KnownClient;

/// Revoke a token
///
/// RFC 7009. Ends the session of the token, like `/logout`: its tokens are invalid once this answers,
/// and stay so across restarts. The answer is 200, too, if the text is no valid token. Every client
/// may revoke every token.
#[utoipa::path(
    post, path = "/revoke", operation_id = "revoke", tag = "tokens",
    security(("client" = [])),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token is invalid; the answer has no body")),
)]
pub(super) async fn revoke(
    _: KnownClient,
    FormBody(form): FormBody,
    api: Data<Api>,
    origin: RequestOrigin,
) -> Result<HttpResponse, Problem> {
    let TokenForm { token } = TokenForm::parse(form)?;
    if let Some(token) = api.tokens.judge(&token).await? {
        let end = async |record: &mut AuditRecord| {
            record.by(Actor::Client);
            record.about(token.user);
            api.sessions.end_or_find_ended(&token).await
        };
        api.audit.follow(Action::Revoke, origin, end).await?;
    }
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish())
}
