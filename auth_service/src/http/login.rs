//! `POST /login`: a name and a password for a token.

use actix_web::HttpResponse;
use actix_web::web::Data;
use contract::{Position, RecordHash, TokenResponse};
use secrecy::ExposeSecret;
use shared::actors::ask;
use shared::audit::{Action, AuditRecord};
use shared::http::{
    ClientAddress, ClientPresence, IdempotencyKey, JsonBody, Members, Problem, ProblemKind,
    RequestOrigin,
};
use shared::idempotency::IdempotentRequest;

use super::Api;
use super::bodies::LoginAttempt;
use super::claims::{Session, Subject, new_claims};
use super::problems::wrong_credentials;
use super::wait_for_write::WaitFor;
use crate::actors::RememberLogin;
use crate::domain::Credential;
use crate::metrics::LOGGED_IN;

const SCOPE: &str = "POST /login";

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
    (client, address, origin): (ClientPresence, ClientAddress, RequestOrigin),
    JsonBody(members): JsonBody,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let attempt = async |record: &mut AuditRecord| {
        try_login(after, key, (&client, address), members, &api, record).await
    };
    let outcome = api.audit.follow(Action::Login, origin, attempt).await;
    api.metrics.count(match &outcome {
        Ok(_) => LOGGED_IN,
        Err(problem) => problem.kind().slug(),
    });
    Ok(HttpResponse::Ok().json(TokenResponse { token: outcome? }))
}

/// No record is there: the users of an earlier version's projection have it until user_service
/// answers for the first time after the upgrade. A token that named it would be dead a moment later.
const NO_STAMP: Position = Position { seq: 0, hash: RecordHash([0; 16]) };

fn not_yet_applied() -> Problem {
    let detail = "this service waits for an answer of user_service";
    Problem::new(ProblemKind::NotYetApplied, detail)
}

async fn try_login(
    after: WaitFor,
    key: IdempotencyKey,
    (client, address): (&ClientPresence, ClientAddress),
    members: Members,
    api: &Api,
    record: &mut AuditRecord,
) -> Result<String, Problem> {
    // First: a request that is refused for overload should cost next to nothing.
    api.authenticator.check_capacity().await?;
    let request = key.key.map(|key| {
        let members = members.canonical();
        let parts = [SCOPE.as_bytes(), members.expose_secret()];
        IdempotentRequest { scope: SCOPE, key, fingerprint: api.sealing_key.fingerprint(&parts) }
    });
    let attempt = LoginAttempt::parse(members)?;
    // All names that are too long to exist are counted as one.
    let name = attempt.username_keys.last().map_or("", String::as_str);
    record.claims(name);
    after.wait(api).await?;
    // A password that was changed while this process was stopped is not accepted.
    let known = api.tokens.until_known().await;
    known.map_err(|unknown| not_yet_applied().with_source(unknown))?;
    let present = api.authenticator.present_password(&attempt).await?;
    let guess = api.guesses.begin(name, present, address).await?;
    let found = client.hashed(api.authenticator.authenticate(&attempt)).await?;
    guess.settle(found.is_some());
    let credential = found.ok_or_else(wrong_credentials)?;
    record.about(credential.id);
    if credential.stamp == NO_STAMP {
        return Err(not_yet_applied());
    }
    let Credential { id, profile, stamp, .. } = credential;
    let mut claims = new_claims(Subject { id, profile, stamp }, Session::New, api);
    if let Some(request) = request {
        claims = ask(&api.revocations, RememberLogin { request, claims }).await??;
    }
    Ok(api.signer.sign(&claims).await?.text)
}
