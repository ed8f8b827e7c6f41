//! Tokens that are traded for new ones of their session.

use awc::http::Method;
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use shared::clock::Clock;

use crate::test_app::{Answer, TestApp, read};

const MINUTE_MS: i64 = 60_000;

async fn app_with(settings: &[&str]) -> (TestApp, String) {
    let app = TestApp::start_with(settings, Clock::manual(1_800_000_000_000)).await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    (app, token)
}

async fn refresh(app: &TestApp, token: &str) -> Answer {
    refresh_with(app, token, None).await
}

async fn refresh_with(app: &TestApp, token: &str, key: Option<&str>) -> Answer {
    let mut request = app.request(Method::POST, "/refresh").bearer_auth(token);
    if let Some(key) = key {
        request = request.insert_header(("Idempotency-Key", key));
    }
    read(request.send().await.unwrap()).await
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

#[actix_web::test]
async fn a_new_token_belongs_to_the_session_of_the_old_one_and_ends_with_it() {
    let (app, first) = app_with(&[]).await;
    app.users.rename(1, "renamed");
    app.bring().await;
    app.clock.advance_ms(10 * MINUTE_MS);
    let second = refresh(&app, &first).await.token();
    let (old, new) = (claims(&first), claims(&second));
    for name in ["sid", "auth_time", "stamp", "sub"] {
        assert_eq!(old[name], new[name], "{name}");
    }
    assert_ne!(old["jti"], new["jti"]);
    assert_eq!(new["exp"].as_i64().unwrap() - old["exp"].as_i64().unwrap(), 600);
    assert_eq!(app.verify(&second).await.header("x-username"), Some("renamed"));
    app.clock.advance_ms(6 * MINUTE_MS);
    assert!(!app.is_alive(&first).await && app.is_alive(&second).await);
    let third = refresh(&app, &second).await.token();
    assert_eq!(app.logout(&second).await.status, 200);
    for token in [&second, &third] {
        assert!(!app.is_alive(token).await);
        assert_eq!(refresh(&app, token).await.problem(), "invalid-token");
    }
    let app = app.restart_after(|_| {}).await;
    assert!(!app.is_alive(&third).await);
    app.stop().await;
}

#[actix_web::test]
async fn a_second_trade_of_a_token_ends_its_session_also_after_a_restart() {
    let (app, stolen) = app_with(&[]).await;
    let new = refresh(&app, &stolen).await.token();
    app.clock.advance_ms(11_000);
    let app = app.restart_after(|_| {}).await;
    assert!(app.is_alive(&new).await);
    let answer = refresh(&app, &stolen).await;
    assert_eq!((answer.status, answer.problem().as_str()), (401, "invalid-token"));
    for token in [&stolen, &new] {
        assert!(!app.is_alive(token).await);
    }
    let other = app.login("testuser", "testpassword").await.token();
    assert!(app.is_alive(&other).await, "another session");
    app.stop().await;
}

#[actix_web::test]
async fn a_repetition_gets_another_token_soon_or_under_its_idempotency_key() {
    let (app, token) = app_with(&[]).await;
    let first = refresh_with(&app, &token, Some("k1")).await.token();
    app.clock.advance_ms(9_000);
    let soon = refresh(&app, &token).await.token();
    assert!(app.is_alive(&first).await && app.is_alive(&soon).await);
    app.stop().await;
    let (app, token) = app_with(&[]).await;
    let first = refresh_with(&app, &token, Some("k1")).await.token();
    app.clock.advance_ms(MINUTE_MS);
    let again = refresh_with(&app, &token, Some("k1")).await.token();
    assert!(app.is_alive(&first).await && app.is_alive(&again).await);
    assert_eq!(refresh_with(&app, &token, Some("k2")).await.status, 401);
    assert!(!app.is_alive(&again).await);
    app.stop().await;
}

#[actix_web::test]
async fn a_session_has_a_maximum_age() {
    let (app, mut token) = app_with(&["--session-max-age", "20m"]).await;
    for _ in 0..2 {
        app.clock.advance_ms(9 * MINUTE_MS);
        token = refresh(&app, &token).await.token();
    }
    assert_eq!(claims(&token)["exp"].as_i64().unwrap(), 1_800_000_000 + 20 * 60);
    app.clock.advance_ms(2 * MINUTE_MS);
    // Others may let clocks differ by some seconds.
    assert!(app.is_alive(&token).await);
    assert_eq!(refresh(&app, &token).await.problem(), "invalid-token");
    app.stop().await;
}

#[actix_web::test]
async fn what_is_dead_is_not_traded() {
    let (app, token) = app_with(&[]).await;
    app.users.change_password(1, "otherpassword");
    app.bring().await;
    assert_eq!(refresh(&app, &token).await.problem(), "invalid-token");
    let token = app.login("testuser", "otherpassword").await.token();
    assert_eq!(refresh(&app, &format!("{token}x")).await.problem(), "invalid-token");
    app.clock.advance_ms(16 * MINUTE_MS);
    assert_eq!(refresh(&app, &token).await.problem(), "invalid-token");
    let none = read(app.request(Method::POST, "/refresh").send().await.unwrap()).await;
    assert_eq!((none.status, none.problem().as_str()), (401, "invalid-token"));
    app.stop().await;
}

#[actix_web::test]
async fn a_repeated_login_whose_token_was_traded_begins_a_session_of_its_own() {
    let (app, _) = app_with(&[]).await;
    let key = [("Idempotency-Key", "k1")];
    let first = app.login_with("testuser", "testpassword", &key).await.token();
    refresh(&app, &first).await.token();
    let second = app.login_with("testuser", "testpassword", &key).await.token();
    assert_ne!(claims(&first)["sid"], claims(&second)["sid"]);
    assert!(app.is_alive(&second).await);
    app.stop().await;
}

#[actix_web::test]
async fn of_a_logout_and_a_refresh_at_the_same_moment_nothing_lives() {
    let (app, token) = app_with(&[]).await;
    let (refreshed, logged_out) = tokio::join!(refresh(&app, &token), app.logout(&token));
    assert_eq!(logged_out.status, 200);
    assert!(!app.is_alive(&token).await);
    if refreshed.status == 200 {
        assert!(!app.is_alive(&refreshed.token()).await);
    }
    app.stop().await;
}
