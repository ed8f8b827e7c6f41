//! `POST /logout/all`.

use std::sync::Arc;
use std::time::Duration;

use awc::http::Method;
use rusqlite::Connection;
use shared::bus::InProcessBus;

use crate::direct_way::without_a_broker;
use crate::faults::Unreachable;
use crate::test_app::{Answer, TestApp, read};

async fn logout_all(app: &TestApp, token: &str) -> Answer {
    read(app.request(Method::POST, "/logout/all").bearer_auth(token).send().await.unwrap()).await
}

async fn with_testuser() -> TestApp {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.users.create("other", "testpassword");
    app.users.publish([1, 2]).await;
    app.until_applied().await;
    app
}

async fn token_of(app: &TestApp, name: &str) -> String {
    app.login(name, "testpassword").await.token()
}

/// All tokens of the user die, nobody else's do, and a login works at once.
async fn assert_all_sessions_end(app: &TestApp) {
    let (one, other) = (token_of(app, "testuser").await, token_of(app, "testuser").await);
    let answer = logout_all(app, &one).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("logout successful")));
    assert!(!app.is_alive(&one).await && !app.is_alive(&other).await);
    let new = token_of(app, "testuser").await;
    assert!(app.is_alive(&new).await);
    // The answer may have been lost. What was begun since goes on.
    for token in [&one, &other] {
        assert_eq!(logout_all(app, token).await.status, 200);
    }
    assert!(app.is_alive(&new).await);
}

#[actix_web::test]
async fn all_sessions_of_the_user_end_over_the_bus() {
    let app = with_testuser().await;
    let stranger = token_of(&app, "other").await;
    assert_all_sessions_end(&app).await;
    assert!(app.is_alive(&stranger).await);
    app.stop().await;
}

/// The record is here and ends tokens, while another process holds the projection.
#[actix_web::test]
async fn a_login_waits_for_a_change_of_its_user_that_is_not_applied_yet() {
    let app = with_testuser().await;
    let token = token_of(&app, "testuser").await;
    let projection = Connection::open(app.dir.path().join("projection.db")).unwrap();
    projection.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(logout_all(&app, &token).await.status, 200);
    assert!(!app.is_alive(&token).await);
    let releasing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        projection.execute_batch("COMMIT").unwrap();
    };
    let logins = async {
        (app.login("testuser", "testpassword").await, app.login("testuser", "wrong").await)
    };
    let ((right, wrong), ()) = tokio::join!(logins, releasing);
    assert!(app.is_alive(&right.token()).await);
    assert_eq!((wrong.status, wrong.problem().as_str()), (401, "wrong-credentials"));
    app.stop().await;
}

#[actix_web::test]
async fn all_sessions_of_the_user_end_without_a_broker() {
    let app = without_a_broker().await;
    assert_all_sessions_end(&app).await;
    app.stop().await;
}

#[actix_web::test]
async fn while_user_service_is_unreachable_the_session_at_hand_dies_and_the_rest_can_be_repeated() {
    let app = with_testuser().await;
    let app = app.restart_on(Arc::new(Unreachable), |_| {}).await;
    let (one, other) = (token_of(&app, "testuser").await, token_of(&app, "testuser").await);
    let refused = logout_all(&app, &one).await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "sessions-not-ended"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!((app.is_alive(&one).await, app.is_alive(&other).await), (false, true));
    let bus: InProcessBus = app.bus.clone();
    let app = app.restart_on(Arc::new(bus), |_| {}).await;
    assert!(!app.is_alive(&one).await);
    assert_eq!(logout_all(&app, &one).await.status, 200);
    assert!(!app.is_alive(&other).await);
    app.stop().await;
}

#[actix_web::test]
async fn what_is_no_token_of_ours_ends_nothing() {
    let app = with_testuser().await;
    let token = token_of(&app, "testuser").await;
    let answer = logout_all(&app, &token[..token.len() - 5]).await;
    assert_eq!((answer.status, answer.problem().as_str()), (401, "invalid-token"));
    assert!(answer.header("www-authenticate").is_some());
    let bare = app.request(Method::POST, "/logout/all").send().await.unwrap();
    assert_eq!(read(bare).await.status, 401);
    assert!(app.is_alive(&token).await);
    app.stop().await;
}
