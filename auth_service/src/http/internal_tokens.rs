//! `POST /internal/tokens`: user_service asks whether a token is alive. It is no part of the API:
//! question and answer have MACs, as on the bus.

use actix_web::HttpResponse;
use actix_web::web::Data;
use contract::token::ADMIN_SCOPE;
use contract::{Claims, TokenAnswer, TokenQuestion, TokenVerdict};
use shared::bus::direct::to_line;
use shared::http::{DirectMessage, Problem};

use super::Api;
use super::live_tokens::subject;

/// Answers a question.
pub(super) async fn answer(
    api: Data<Api>,
    DirectMessage(delivery): DirectMessage,
) -> Result<HttpResponse, Problem> {
    let codec = &api.authenticator.codec;
    let TokenQuestion { nonce, token } = codec.decode_token_question(&delivery)?;
    let verdict = match api.tokens.judge(&token) {
        Ok(Some(claims)) => verdict_on(&claims, &api),
        Ok(None) => TokenVerdict::Dead,
        Err(_) => TokenVerdict::Unknown,
    };
    let answer = codec.encode_token_answer(&TokenAnswer { nonce, verdict });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").body(to_line(answer) + "\n"))
}

/// Of a live token. Its user is an administrator if they were one at the login and are one now.
fn verdict_on(claims: &Claims, api: &Api) -> TokenVerdict {
    let Ok((id, stamp)) = subject(claims) else { return TokenVerdict::Dead };
    let is_admin = claims.scope.as_deref() == Some(ADMIN_SCOPE) && api.admins.contains(&id);
    TokenVerdict::Alive { id, stamp, is_admin }
}
