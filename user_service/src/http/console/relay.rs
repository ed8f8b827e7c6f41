//! The console's way to auth_service: a page may ask only the origin that it came from. These requests
//! and no others are passed on, as they are, and so are their answers.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::web::{self, Bytes, Data, PayloadConfig};
use actix_web::{HttpRequest, HttpResponse, Route};
use shared::bus::direct::{PlainAnswer, PlainRequest};
use shared::http::{BODY_LIMIT, ClientAddress, Problem, ProblemKind, resource};

use super::Console;

/// Headers of requests that are passed on.
const ASKED_WITH: [&str; 4] =
    ["authorization", "content-type", "consistency-token", "idempotency-key"];
/// Headers of answers that are passed on.
const ANSWERED_WITH: [&str; 5] =
    ["content-type", "retry-after", "www-authenticate", "x-user-id", "x-username"];

/// A request that is passed on: the path here, the method, and the path there.
type Passed = (&'static str, &'static str, &'static str);

const PASSED: [Passed; 4] = [
    ("/console/auth/login", "POST", "/login"),
    ("/console/auth/logout", "POST", "/logout"),
    ("/console/auth/verify", "GET", "/verify"),
    ("/console/auth/keys", "GET", "/.well-known/jwks.json"),
];

/// Adds the paths.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    for (path, method, target) in PASSED {
        let relay = move |console: Data<Console>,
                          client: ClientAddress,
                          request: HttpRequest,
                          body: Result<Bytes, actix_web::Error>| {
            async move {
                let headers = headers_for(client, request.headers());
                let body = body.map_err(|_| unreadable())?;
                let path = target.into();
                pass_on(&console, PlainRequest { method, path, headers, body }).await
            }
        };
        let route: Route = if method == "POST" { web::post() } else { web::get() };
        let limit = PayloadConfig::new(BODY_LIMIT);
        config.service(resource(path, method).app_data(limit).route(route.to(relay)));
    }
}

/// auth_service slows guessing down by the client's address, if it trusts this service to tell it.
fn headers_for(client: ClientAddress, given: &HeaderMap) -> Vec<(Cow<'static, str>, String)> {
    let passed = ASKED_WITH.into_iter().filter_map(|name| {
        let value = given.get(name)?.to_str().ok()?;
        Some((name.into(), value.to_owned()))
    });
    passed.chain([("x-forwarded-for".into(), client.0.to_string())]).collect()
}

async fn pass_on(console: &Console, request: PlainRequest) -> Result<HttpResponse, Problem> {
    let url = console.auth_service.get().ok_or_else(|| {
        let detail = "AUTH_SERVICE_URL of user_service is not set: the console cannot log in";
        Problem::new(ProblemKind::Overloaded, detail)
    })?;
    let answer = url.exchange(request).await.map_err(|error| {
        let detail = "auth_service cannot be reached; user_service goes on without it";
        Problem::new(ProblemKind::Overloaded, detail).with_source(error)
    })?;
    let PlainAnswer { status, headers, body } = answer;
    let status = StatusCode::from_u16(status).map_err(Problem::internal)?;
    let mut passed = HttpResponse::build(status);
    for (name, value) in headers.iter().filter(|(name, _)| ANSWERED_WITH.contains(&name.as_str())) {
        passed.insert_header((name.as_str(), value.as_str()));
    }
    Ok(passed.body(body))
}

fn unreadable() -> Problem {
    let detail = format!("the body has more than {BODY_LIMIT} bytes, or did not arrive");
    Problem::new(ProblemKind::BodyTooLarge, detail)
}
