//! `POST /login`: a name and a password for a token.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use actix_web::web::Data;
use contract::{Claims, TokenResponse};
use data_encoding::BASE64URL_NOPAD;
use shared::actors::ask;
use shared::http::{IdempotencyKey, JsonBody, Members, Problem, ProblemKind};
use shared::secrets::random_bytes;
use shared::sqlite::idempotency::IdempotentRequest;

use super::Api;
use super::authentication::{Authenticator, LoginAttempt};
use super::bearer::CHALLENGE;
use super::consistency::WaitFor;
use super::openapi::{LoginBody, ProblemBody, TokenBody};
use crate::actors::{RememberLogin, RevokeRefused, SignToken};
use crate::domain::Credential;

const SCOPE: &str = "POST /login";
/// `client_id`: there is one client, whoever knows a password.
const CLIENT: &str = "lockstep";

/// Logs in
///
/// Gives a token for a name and a password. An unknown name takes as long as a wrong password, and
/// the answer is the same.
#[utoipa::path(
    post,
    path = "/login",
    tag = "tokens",
    params(
        ("Consistency-Token" = Option<String>, Header, description = "As a write to user_service \
            answered it: waits, up to LOGIN_WAIT, until that write has arrived here",
            pattern = "^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII \
            characters: the same request under the same key gets the same token for 24 hours",
            min_length = 1, max_length = 255, pattern = r"^[!#-\[\]-~]+$"),
    ),
    request_body(content = LoginBody, content_type = "application/json"),
    responses(
        (status = 200, description = "The token", body = TokenBody, headers(
            ("Cache-Control" = String, description = "no-store"))),
        (status = 400, description = "Not JSON, wrong members or a malformed header",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "Wrong username or password", body = ProblemBody,
            content_type = "application/problem+json",
            headers(("WWW-Authenticate" = String, description = "Bearer realm"))),
        (status = 408, description = "The body did not arrive in time", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 413, description = "More than 16 KiB", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 415, description = "Not application/json in UTF-8", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 422, description = "The Idempotency-Key stands for another request",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The service failed", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "Too much is in hand, or the write has not arrived yet",
            body = ProblemBody, content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "Seconds"))),
        (status = 507, description = "The disk is full; only with an Idempotency-Key",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn login(
    after: WaitFor,
    key: IdempotencyKey,
    body: JsonBody,
    handles: Data<Api>,
    authenticator: Data<Authenticator>,
) -> Result<HttpResponse, Problem> {
    let outcome = try_login(after, key, body, &handles, &authenticator).await;
    handles.metrics.count(match &outcome {
        Ok(_) => "ok",
        Err(problem) => problem.kind().slug(),
    });
    let token = outcome?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(TokenResponse { token }))
}

async fn try_login(
    after: WaitFor,
    key: IdempotencyKey,
    body: JsonBody,
    handles: &Api,
    authenticator: &Authenticator,
) -> Result<String, Problem> {
    // First: whoever is refused has cost next to nothing.
    authenticator.check_room().await?;
    let attempt = read(body.members)?;
    after.wait(handles).await?;
    let found = authenticator.authenticate(&attempt).await?;
    let credential = found.ok_or_else(wrong_credentials)?;
    let mut claims = claims_for(credential, handles);
    if let Some(key) = key.0 {
        let fingerprint = handles.sealing_key.fingerprint(&[SCOPE.as_bytes(), &body.bytes]);
        let request = IdempotentRequest { scope: SCOPE, key, fingerprint };
        claims = ask(&handles.revocations, RememberLogin { request, claims }).await??;
    }
    ask(&handles.key_ring, SignToken(claims)).await?.map_err(Problem::internal)
}

fn read(mut members: Members) -> Result<LoginAttempt, Problem> {
    let (username, password) = (members.string("username"), members.secret("password"));
    members.finish()?;
    // `finish` has refused a body without them.
    Ok(LoginAttempt::new(&username.unwrap_or_default(), &password.unwrap_or_default()))
}

fn claims_for(credential: Credential, handles: &Api) -> Claims {
    let now_s = handles.clock.unix_s();
    Claims {
        iss: handles.rules.issuer.clone(),
        sub: credential.id.to_string(),
        aud: handles.rules.audience.clone(),
        exp: now_s + handles.token_lifetime_s,
        iat: now_s,
        nbf: now_s,
        jti: BASE64URL_NOPAD.encode(&random_bytes::<16>()),
        client_id: CLIENT.to_owned(),
        username: credential.username,
        pv: credential.password_version,
        sid: None,
        stamp: None,
    }
}

fn wrong_credentials() -> Problem {
    Problem::new(ProblemKind::WrongCredentials, "no user has this name and password")
        .with_header(WWW_AUTHENTICATE, CHALLENGE)
}

impl From<RevokeRefused> for Problem {
    fn from(refused: RevokeRefused) -> Self {
        match refused {
            RevokeRefused::AlreadyDead => super::bearer::refused().with_source(refused),
            RevokeRefused::KeyReused => key_reused(),
            RevokeRefused::Outcome(_) => Self::internal(refused),
            RevokeRefused::Store(error) => error.into(),
        }
    }
}

pub(super) fn key_reused() -> Problem {
    Problem::new(ProblemKind::IdempotencyKeyReused, "take a new key for a new request")
}
