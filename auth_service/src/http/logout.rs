//! `POST /logout`: kills the token that it is called with.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;
use shared::actors::ask;
use shared::http::{IdempotencyKey, Problem};
use shared::idempotency::IdempotentRequest;
use shared::sqlite::idempotency::Lookup;

use super::Api;
use super::bearer::Bearer;
use super::live_tokens::{TokenChecker, TokenRejection};
use super::login::key_reused;
use super::openapi::{ProblemBody, StatusBody};
use crate::actors::{FindOutcome, RevokeToken};

const SCOPE: &str = "POST /logout";

/// Logs out
///
/// The token is dead when this answers, and stays so across restarts. A body is ignored.
#[utoipa::path(
    post,
    path = "/logout",
    tag = "tokens",
    security(("token" = [])),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII \
            characters: the same token under the same key is answered with 200 again, for 24 hours",
            min_length = 1, max_length = 255, pattern = r"^[!#-\[\]-~]+$"),
    ),
    responses(
        (status = 200, description = "The token is dead", body = StatusBody),
        (status = 400, description = "A malformed Idempotency-Key", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, description = "No token, or none that is alive", body = ProblemBody,
            content_type = "application/problem+json",
            headers(("WWW-Authenticate" = String, description = "As RFC 6750 has it"))),
        (status = 422, description = "The Idempotency-Key stands for another request",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The service failed", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "Too much is in hand: nothing was done", body = ProblemBody,
            content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "Seconds"))),
        (status = 507, description = "The disk is full: nothing was done", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn logout(
    bearer: Bearer,
    key: IdempotencyKey,
    handles: Data<Api>,
    tokens: Data<TokenChecker>,
) -> Result<HttpResponse, Problem> {
    let Bearer(token) = bearer;
    let request = key.0.map(|key| {
        let fingerprint = handles.sealing_key.fingerprint(&[SCOPE.as_bytes(), token.as_bytes()]);
        IdempotentRequest { scope: SCOPE, key, fingerprint }
    });
    match (tokens.check(&token), request) {
        (Ok(claims), request) => {
            let command = RevokeToken { jti: claims.jti.clone(), exp_s: claims.exp, request };
            ask(&handles.revocations, command).await??;
        }
        (Err(dead), Some(request)) if dead.is_ours() => repeat(dead, request, &handles).await?,
        (Err(dead), _) => return Err(dead.into()),
    }
    Ok(HttpResponse::Ok().json(json!({ "status": "logout successful" })))
}

/// The token is dead: because of the same request?
async fn repeat(
    dead: TokenRejection,
    request: IdempotentRequest,
    handles: &Api,
) -> Result<(), Problem> {
    match ask(&handles.revocations, FindOutcome(request)).await?? {
        Lookup::Outcome(_) => Ok(()),
        Lookup::OtherRequest => Err(key_reused()),
        Lookup::Nothing => Err(dead.into()),
    }
}
