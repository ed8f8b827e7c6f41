//! A service that verifies tokens itself, and asks auth_service where a logout has to count at once.
//!
//! ```sh
//! cargo run --package standalone --example service-rust -- http://127.0.0.1:8002 3002
//! ```
//!
//! `GET /me` needs no request to auth_service but for its keys, and takes a logged-out token until it expires.
//! `POST /payments` asks auth_service each time: no logged-out token pays.
//!
//! In a crate of your own it needs `actix-web` 4, `awc` 3, `jsonwebtoken` 11 with `aws_lc_rs`, and `serde_json` 1.
#![expect(clippy::print_stdout, reason = "it tells where it listens")]

mod verifier;

use std::io;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;
use verifier::{Refusal, Verifier};

/// The token of a request.
fn token_of(request: &HttpRequest) -> Result<&str, Refusal> {
    let header = request.headers().get(header::AUTHORIZATION).ok_or(Refusal::BadToken)?;
    let (scheme, token) =
        header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Refusal::BadToken)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token) } else { Err(Refusal::BadToken) }
}

/// `GET /me`: by the public keys alone.
async fn me(request: HttpRequest, verifier: web::Data<Verifier>) -> HttpResponse {
    let user = match token_of(&request) {
        Ok(token) => verifier.user_of(token).await,
        Err(refusal) => Err(refusal),
    };
    answer(user)
}

/// `POST /payments`: as auth_service says at this moment.
async fn pay(request: HttpRequest, auth: web::Data<String>) -> HttpResponse {
    let user = match token_of(&request) {
        Ok(token) => ask(&auth, token).await,
        Err(refusal) => Err(refusal),
    };
    answer(user)
}

/// The user's id, from `/verify`.
async fn ask(auth: &str, token: &str) -> Result<i64, Refusal> {
    let request = awc::Client::new().get(format!("{auth}/verify"));
    let request = request.bearer_auth(token).timeout(Duration::from_secs(3));
    let response = request.send().await.map_err(|_| Refusal::CannotTell)?;
    match response.status() {
        StatusCode::OK => {
            let id = response.headers().get("x-user-id").and_then(|id| id.to_str().ok());
            id.and_then(|id| id.parse().ok()).ok_or(Refusal::CannotTell)
        }
        StatusCode::UNAUTHORIZED => Err(Refusal::BadToken),
        _ => Err(Refusal::CannotTell),
    }
}

fn answer(user: Result<i64, Refusal>) -> HttpResponse {
    match user {
        Ok(id) => HttpResponse::Ok().json(json!({"id": id})),
        Err(Refusal::BadToken) => HttpResponse::Unauthorized()
            .insert_header((header::WWW_AUTHENTICATE, "Bearer"))
            .json(json!({"error": "log in"})),
        Err(Refusal::CannotTell) => HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, "1"))
            .json(json!({"error": "nobody can be identified now"})),
    }
}

#[actix_web::main]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(auth), Some(Ok(port))) =
        (arguments.next(), arguments.next().map(|port| port.parse::<u16>()))
    else {
        return Err(io::Error::other("call it with AUTH_SERVICE_URL PORT"));
    };
    // One worker has one list of keys.
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(Verifier::new(&auth)))
            .app_data(web::Data::new(auth.clone()))
            .route("/me", web::get().to(me))
            .route("/payments", web::post().to(pay))
    });
    let server = server.workers(1).bind(("127.0.0.1", port))?;
    println!("listens on {}", server.addrs()[0].port());
    server.run().await
}
