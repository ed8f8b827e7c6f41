//! `POST /internal/tokens`: user_service asks whether a token is alive. It is no part of the API:
//! question and answer have MACs, as on the bus.

use std::error::Error;

use actix_web::HttpResponse;
use actix_web::web::Data;
use contract::token::ADMIN_SCOPE;
use contract::{TokenAnswer, TokenQuestion, TokenVerdict};
use shared::bus::direct::to_line;
use shared::http::{DirectMessage, Problem};
use shared::tokens::VerifiedToken;

use super::Api;
use super::claims::is_admin;
use crate::store::StoreError;

/// Answers a question.
pub(super) async fn answer(
    api: Data<Api>,
    DirectMessage(delivery): DirectMessage,
) -> Result<HttpResponse, Problem> {
    let codec = &api.authenticator.codec;
    let TokenQuestion { nonce, token } = codec.decode_token_question(&delivery)?;
    let verdict = match api.tokens.judge(&token).await {
        Ok(Some(token)) => verdict_on(&token, &api).unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn Error,
                "cannot tell whether a user is an administrator"
            );
            TokenVerdict::Unknown
        }),
        Ok(None) => TokenVerdict::Dead,
        Err(_) => TokenVerdict::Unknown,
    };
    let answer = codec.encode_token_answer(&TokenAnswer { nonce, verdict });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").body(to_line(answer) + "\n"))
}

/// Of a live token. Its user is an administrator if they were one at the login and are one now.
fn verdict_on(token: &VerifiedToken, api: &Api) -> Result<TokenVerdict, StoreError> {
    let (id, stamp) = (token.user, token.stamp);
    let is_admin = token.claims.scope.as_deref() == Some(ADMIN_SCOPE)
        && api.tokens.find_profile(id)?.is_some_and(|profile| is_admin(id, &profile, api));
    Ok(TokenVerdict::Alive { id, stamp, is_admin })
}
