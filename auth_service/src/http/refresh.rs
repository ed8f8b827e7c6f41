//! `POST /refresh`: trades a live token for a new one of its session.

use actix_web::HttpResponse;
use actix_web::web::Data;
use contract::token_record::{TokenLife, Trade};
use contract::{TokenRecord, TokenResponse};
use shared::actors::ask;
use shared::audit::{Action, Actor, AuditRecord};
use shared::http::{
    Bearer, IdempotencyKey, IgnoredBody, NoBearer, Problem, ProblemKind, RequestOrigin,
    invalid_token,
};
use shared::tokens::VerifiedToken;
use shared::tokens::token_set::TradeVerdict;

use super::Api;
use super::claims::{Session, Subject, new_claims};
use crate::actors::TradeToken;

const SCOPE: &str = "POST /refresh";

/// Why a live token is not traded. Logged; never sent to the client.
#[derive(Debug, thiserror::Error)]
enum RefreshRefused {
    #[error("the token was traded before, so its session was ended")]
    Stolen,
    #[error("its session has ended")]
    SessionEnded,
    #[error("its session has reached its maximum age")]
    TooOld,
    #[error("its user is gone")]
    UserGone,
}

/// Refresh a token
///
/// Trades a valid token for a new one of the same session, until the session has reached its maximum
/// age. The old token stays valid until it expires, and must not be traded again: a second trade
/// ends the session, because somebody else may have the token. A repetition within 10 seconds, or
/// with the same `Idempotency-Key`, gets another token of the session instead. A body is ignored.
#[utoipa::path(
    post, path = "/refresh", operation_id = "refresh", tag = "tokens",
    security(("token" = [])),
    params(IdempotencyKey),
    responses((status = 200, description = "The new token", body = TokenResponse)),
)]
pub(super) async fn refresh(
    bearer: Result<Bearer, NoBearer>,
    key: IdempotencyKey,
    api: Data<Api>,
    origin: RequestOrigin,
    _: IgnoredBody,
) -> Result<HttpResponse, Problem> {
    let trade = async |record: &mut AuditRecord| {
        let old = api.tokens.check(&bearer?.0).await?;
        record.by(Actor::User(old.user));
        record.about(old.user);
        // A replica that has just started, or stood still, knows in a moment whether the session goes on.
        api.tokens.until_known().await?;
        if !api.tokens.allows_trades() {
            let detail = "a token is not traded before it is known that its session goes on";
            return Err(Problem::new(ProblemKind::NotYetKnown, detail));
        }
        trade(&old, key.key.as_deref(), &api, record).await
    };
    let token = api.audit.follow(Action::RefreshToken, origin, trade).await?;
    Ok(HttpResponse::Ok().json(TokenResponse { token }))
}

async fn trade(
    old: &VerifiedToken,
    key: Option<&str>,
    api: &Api,
    record: &mut AuditRecord,
) -> Result<String, Problem> {
    let profile = api.tokens.find_profile(old.user).map_err(Problem::internal)?;
    let profile = profile.ok_or_else(|| refused(RefreshRefused::UserGone))?;
    let subject = Subject { id: old.user, profile, stamp: old.stamp };
    let (sid, auth_time) = (old.claims.sid.clone(), old.claims.auth_time);
    let claims = new_claims(subject, Session::Continued { sid, auth_time }, api);
    if claims.exp <= claims.iat {
        return Err(refused(RefreshRefused::TooOld));
    }
    let new = api.signer.sign(&claims).await?;
    let hash = |key: &str| api.sealing_key.fingerprint_bytes(&[SCOPE.as_bytes(), key.as_bytes()]);
    let trade = Trade {
        jti: old.jti,
        sid: old.sid,
        idempotency_hash: key.map(hash),
        old: TokenLife { kid: old.kid, exp_s: old.claims.exp },
        new: TokenLife { kid: new.kid, exp_s: claims.exp },
    };
    let traded = TokenRecord::TokenTraded(Box::new(trade.clone()));
    match ask(&api.revocations, TradeToken(trade)).await?? {
        TradeVerdict::Allowed if api.sessions.is_confirmed(traded).await => Ok(new.text),
        TradeVerdict::Allowed => {
            let detail = "the other replicas may not know that the token was traded: send the same \
                          request again";
            Err(Problem::new(ProblemKind::NotYetKnown, detail))
        }
        TradeVerdict::Stolen => {
            tracing::warn!(sid = %old.sid, "a token was traded twice: its session was ended");
            record.is_really(Action::ReuseToken);
            Err(refused(RefreshRefused::Stolen))
        }
        TradeVerdict::SessionEnded => Err(refused(RefreshRefused::SessionEnded)),
    }
}

fn refused(why: RefreshRefused) -> Problem {
    invalid_token().with_source(why)
}
