//! `POST /logout`: ends the session of the token that it is called with.

use actix_web::HttpResponse;
use actix_web::web::Data;
use shared::actors::ask;
use shared::audit::{Action, Actor, AuditRecord};
use shared::http::{Bearer, IdempotencyKey, IgnoredBody, Problem, RequestOrigin};
use shared::idempotency::{IdempotentRequest, Lookup};

use super::Api;
use super::bodies::LogoutResponse;
use super::problems::key_reused;
use super::token_rejection::TokenRejection;
use crate::actors::FindOutcome;

const SCOPE: &str = "POST /logout";

/// Log out
///
/// The token is invalid once this answers, and stays so across restarts: at every replica if the
/// broker can be reached, at this one in any case. A body is ignored.
#[utoipa::path(
    post, path = "/logout", operation_id = "logout", tag = "tokens",
    security(("token" = [])),
    params(IdempotencyKey),
    responses((status = 200, description = "The token is revoked", body = LogoutResponse)),
)]
pub(super) async fn logout(
    bearer: Bearer,
    key: IdempotencyKey,
    api: Data<Api>,
    origin: RequestOrigin,
    _: IgnoredBody,
) -> Result<HttpResponse, Problem> {
    let work = async |record: &mut AuditRecord| end(&bearer, key, &api, record).await;
    api.audit.follow(Action::Logout, origin, work).await?;
    Ok(HttpResponse::Ok().json(LogoutResponse { status: "logout successful" }))
}

async fn end(
    Bearer(token): &Bearer,
    key: IdempotencyKey,
    api: &Api,
    record: &mut AuditRecord,
) -> Result<(), Problem> {
    let request = key.key.map(|key| {
        let fingerprint = api.sealing_key.fingerprint(&[SCOPE.as_bytes(), token.as_bytes()]);
        IdempotentRequest { scope: SCOPE, key, fingerprint }
    });
    match (api.tokens.check(token).await, request) {
        (Ok(live), request) => {
            record.by(Actor::User(live.user));
            record.about(live.user);
            api.sessions.end(&live, request).await
        }
        (Err(dead), Some(request)) if dead.is_ours() => {
            repeat(dead, request, api).await?;
            let Ok(ended) = api.tokens.check_signed(token).await else { return Ok(()) };
            record.by(Actor::User(ended.user));
            record.about(ended.user);
            api.sessions.await_others(&ended).await
        }
        (Err(dead), _) => Err(dead.into()),
    }
}

/// The token is dead. If this request was answered before, it was this request that ended it.
async fn repeat(
    dead: TokenRejection,
    request: IdempotentRequest,
    api: &Api,
) -> Result<(), Problem> {
    match ask(&api.revocations, FindOutcome(request)).await?? {
        Lookup::Outcome(_) => Ok(()),
        Lookup::OtherRequest => Err(key_reused()),
        Lookup::Nothing => Err(dead.into()),
    }
}
