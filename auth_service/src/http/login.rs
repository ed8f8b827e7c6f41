//! `POST /login`: a name and a password for a token.

use actix_web::HttpResponse;
use actix_web::web::Data;
use contract::token::ADMIN_SCOPE;
use contract::{Claims, Position, RecordHash, TokenResponse};
use data_encoding::BASE64URL_NOPAD;
use secrecy::ExposeSecret;
use shared::actors::ask;
use shared::http::{
    ClientAddress, ClientPresence, IdempotencyKey, JsonBody, Members, Problem, ProblemKind,
};
use shared::idempotency::IdempotentRequest;
use shared::secrets::random_bytes;

use super::Api;
use super::bodies::LoginAttempt;
use super::problems::wrong_credentials;
use super::wait_for_write::WaitFor;
use crate::actors::RememberLogin;
use crate::domain::Credential;

const SCOPE: &str = "POST /login";
/// `client_id`: there is one client, for everybody who knows a password.
const CLIENT: &str = "lockstep";

/// Log in
///
/// Issues a token for a name and a password. An unknown name takes as long as a wrong password, and
/// the answer is the same.
#[utoipa::path(
    post, path = "/login", operation_id = "login", tag = "tokens",
    params(WaitFor, IdempotencyKey),
    request_body = LoginAttempt,
    responses((status = 200, description = "The token", body = TokenResponse)),
)]
pub(super) async fn login(
    after: WaitFor,
    key: IdempotencyKey,
    (client, address): (ClientPresence, ClientAddress),
    JsonBody(members): JsonBody,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let outcome = try_login(after, key, (&client, address), members, &api).await;
    api.metrics.count(match &outcome {
        Ok(_) => "ok",
        Err(problem) => problem.kind().slug(),
    });
    Ok(HttpResponse::Ok().json(TokenResponse { token: outcome? }))
}

/// No record is there: the users of an earlier version's projection have it until user_service
/// answers for the first time after the upgrade. A token that named it would be dead a moment later.
const NO_STAMP: Position = Position { seq: 0, hash: RecordHash([0; 16]) };

fn not_yet_known() -> Problem {
    let detail = "after an upgrade this service waits for user_service once";
    Problem::new(ProblemKind::NotYetApplied, detail)
}

async fn try_login(
    after: WaitFor,
    key: IdempotencyKey,
    (client, address): (&ClientPresence, ClientAddress),
    members: Members,
    api: &Api,
) -> Result<String, Problem> {
    // First: a request that is refused for overload should cost next to nothing.
    api.authenticator.check_capacity().await?;
    let request = key.key.map(|key| {
        let members = members.canonical();
        let parts = [SCOPE.as_bytes(), members.expose_secret()];
        IdempotentRequest { scope: SCOPE, key, fingerprint: api.sealing_key.fingerprint(&parts) }
    });
    let attempt = LoginAttempt::parse(members)?;
    after.wait(api).await?;
    let present = api.authenticator.present_password(&attempt).await?;
    // All names that are too long to exist are counted as one.
    let name = attempt.username_keys.last().map_or("", String::as_str);
    let guess = api.guesses.begin(name, present, address).await?;
    let found = client.hashed(api.authenticator.authenticate(&attempt)).await?;
    guess.settle(found.is_some());
    let credential = found.ok_or_else(wrong_credentials)?;
    if credential.stamp == NO_STAMP {
        return Err(not_yet_known());
    }
    let mut claims = claims_for(credential, api);
    if let Some(request) = request {
        claims = ask(&api.revocations, RememberLogin { request, claims }).await??;
    }
    Ok(api.signer.sign(&claims).await?)
}

fn claims_for(credential: Credential, api: &Api) -> Claims {
    let now_s = api.clock.unix_s();
    let jti = BASE64URL_NOPAD.encode(&random_bytes::<16>());
    Claims {
        iss: api.rules.issuer.clone(),
        sub: credential.id.to_string(),
        aud: api.rules.audience.clone(),
        exp: now_s + api.token_lifetime_s,
        iat: now_s,
        nbf: now_s - api.rules.leeway_s,
        sid: jti.clone(),
        jti,
        client_id: CLIENT.to_owned(),
        username: credential.username,
        stamp: credential.stamp.encode(),
        scope: api.admins.contains(&credential.id).then(|| ADMIN_SCOPE.to_owned()),
    }
}
