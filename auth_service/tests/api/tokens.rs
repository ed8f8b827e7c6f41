use std::path::Path;

use awc::http::Method;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use shared::clock::Clock;
use testkit::wait::until;

use crate::test_app::{BOUND, TestApp, read};

async fn app_with_testuser() -> (TestApp, String) {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    (app, token)
}

fn remove(dir: &Path, database: &str) {
    for suffix in ["", "-wal", "-shm"] {
        // SQLite has removed the last two when it closed the file.
        let _ = std::fs::remove_file(dir.join(format!("{database}{suffix}")));
    }
    assert!(!dir.join(database).exists());
}

#[actix_web::test]
async fn a_token_that_was_logged_out_is_dead_across_restarts() {
    let (app, token) = app_with_testuser().await;
    let other = app.login("testuser", "testpassword").await.token();
    let answer = app.logout(&token).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("logout successful")));
    assert_eq!(app.verify(&token).await.problem(), "invalid-token");
    assert!(app.is_alive(&other).await);
    let app = app.restart_after(|_| {}).await;
    assert_eq!((app.is_alive(&token).await, app.is_alive(&other).await), (false, true));
    let again = app.logout(&token).await;
    assert_eq!((again.status, again.problem().as_str()), (401, "invalid-token"));
    let challenge = r#"Bearer realm="lockstep", error="invalid_token""#;
    assert_eq!(again.header("www-authenticate"), Some(challenge));
    app.stop().await;
}

#[actix_web::test]
async fn of_logouts_of_one_token_at_the_same_moment_one_succeeds() {
    let (app, token) = app_with_testuser().await;
    let all = futures_util::future::join_all((0..8).map(|_| app.logout(&token))).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(app.metric("lockstep_revoked_sessions").await, 1);
    app.stop().await;
}

#[actix_web::test]
async fn the_tokens_of_a_deleted_user_are_dead_and_nobody_logs_in() {
    let (app, token) = app_with_testuser().await;
    app.users.delete(1);
    app.bring().await;
    assert!(!app.is_alive(&token).await);
    assert_eq!(app.login("testuser", "testpassword").await.status, 401);
    let app = app.restart_after(|_| {}).await;
    assert!(!app.is_alive(&token).await);
    app.stop().await;
}

#[actix_web::test]
async fn a_change_of_password_kills_the_tokens_before_it_and_a_rename_does_not() {
    let (app, token) = app_with_testuser().await;
    app.users.rename(1, "renamed");
    app.bring().await;
    assert!(app.is_alive(&token).await);
    assert_eq!(app.login("testuser", "testpassword").await.status, 401);
    assert_eq!(app.login("renamed", "testpassword").await.status, 200);
    app.users.change_password(1, "otherpassword");
    app.bring().await;
    assert!(!app.is_alive(&token).await);
    assert_eq!(app.login("renamed", "testpassword").await.status, 401);
    let token = app.login("renamed", "otherpassword").await.token();
    assert!(app.is_alive(&token).await);
    app.stop().await;
}

#[actix_web::test]
async fn losing_the_list_of_dead_tokens_brings_none_of_them_back() {
    let (app, token) = app_with_testuser().await;
    app.logout(&token).await;
    let app = app.restart_after(|dir| remove(dir, "tokens.db")).await;
    assert!(!app.is_alive(&token).await);
    let token = app.login("testuser", "testpassword").await.token();
    assert!(app.is_alive(&token).await);
    app.stop().await;
}

#[actix_web::test]
async fn losing_the_projection_kills_no_token_once_it_is_loaded_again() {
    let (app, token) = app_with_testuser().await;
    let deleted = app.users.create("deleted", "testpassword");
    app.bring().await;
    let of_deleted = app.login("deleted", "testpassword").await.token();
    app.users.delete(deleted);
    app.bring().await;
    app.users.set_replay_limit(0);
    let app = app.restart_after(|dir| remove(dir, "projection.db")).await;
    app.until_applied().await;
    assert!(app.is_alive(&token).await && !app.is_alive(&of_deleted).await);
    app.stop().await;
}

#[actix_web::test]
async fn a_token_expires() {
    let clock = Clock::manual(1_800_000_000_000);
    let app = TestApp::start_with(&["--token-lifetime", "10s"], clock).await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    app.clock.advance_ms(14_999);
    assert!(app.is_alive(&token).await, "clocks may differ by five seconds");
    app.clock.advance_ms(1);
    assert!(!app.is_alive(&token).await);
    app.stop().await;
}

#[actix_web::test]
async fn the_published_keys_verify_a_token_and_it_says_what_rfc_9068_asks_for() {
    let (app, token) = app_with_testuser().await;
    let answer = app.get("/.well-known/jwks.json").await;
    assert!(answer.header("cache-control").unwrap().contains("max-age"));
    let keys: JwkSet = serde_json::from_slice(&answer.body).unwrap();
    let header = decode_header(&token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some("at+jwt")));
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["lockstep"]);
    validation.set_issuer(&["lockstep"]);
    let claims = decode::<Value>(&token, &key, &validation).unwrap().claims;
    assert_eq!((&claims["sub"], &claims["username"]), (&"1".into(), &"testuser".into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    let listed = answer.json()["keys"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 2, "that which signs, and the next one");
    assert!(listed.iter().all(|jwk| jwk.get("d").is_none()), "the private halves stay here");
    app.stop().await;
}

#[actix_web::test]
async fn the_scheme_bearer_is_known_in_any_case_and_head_answers_like_get() {
    let (app, token) = app_with_testuser().await;
    for (method, scheme) in [(Method::GET, "bearer"), (Method::HEAD, "BEARER")] {
        let request = app.request(method, "/verify");
        let request = request.insert_header(("Authorization", format!("{scheme} {token}")));
        let answer = read(request.send().await.unwrap()).await;
        assert_eq!((answer.status, answer.header("x-user-id")), (200, Some("1")));
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_service_without_a_first_sync_says_that_it_is_not_ready() {
    let app = TestApp::start().await;
    app.users.set_answers(false);
    let app = app.restart_after(|dir| remove(dir, "projection.db")).await;
    let answer = app.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["reasons"][0], "catching up: no sync with user_service yet");
    app.users.set_answers(true);
    until("it asks again", BOUND, async || (app.get("/readyz").await.status == 200).then_some(()))
        .await;
    app.stop().await;
}
