use crate::test_app::TestApp;

async fn app_with_testuser() -> TestApp {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    app
}

#[actix_web::test]
async fn a_repeated_login_gets_the_same_token_to_the_byte() {
    let app = app_with_testuser().await;
    let key = [("Idempotency-Key", "\"k1\"")];
    let first = app.login_with("testuser", "testpassword", &key).await.token();
    let app = app.restart_after(|_| {}).await;
    assert_eq!(app.login_with("testuser", "testpassword", &key).await.token(), first);
    assert_ne!(app.login("testuser", "testpassword").await.token(), first);
    assert_eq!(app.login_with("testuser", "wrongpassword", &key).await.status, 401);
    app.stop().await;
}

#[actix_web::test]
async fn a_key_stands_for_one_request() {
    let app = app_with_testuser().await;
    app.users.create("other", "testpassword");
    app.bring().await;
    let key = [("Idempotency-Key", "k1")];
    let token = app.login_with("testuser", "testpassword", &key).await.token();
    let reused = app.login_with("other", "testpassword", &key).await;
    assert_eq!((reused.status, reused.problem().as_str()), (422, "idempotency-key-reused"));
    let other = app.login("other", "testpassword").await.token();
    assert_eq!(app.logout_with(&token, &key).await.status, 200, "of another path it is another");
    assert_eq!(app.logout_with(&other, &key).await.problem(), "idempotency-key-reused");
    assert!(app.is_alive(&other).await);
    app.stop().await;
}

#[actix_web::test]
async fn a_repeated_logout_succeeds_although_the_token_is_dead_by_then() {
    let app = app_with_testuser().await;
    let token = app.login("testuser", "testpassword").await.token();
    let key = [("Idempotency-Key", "k1")];
    for _ in 0..2 {
        assert_eq!(app.logout_with(&token, &key).await.status, 200);
    }
    assert_eq!(app.logout(&token).await.status, 401);
    assert_eq!(app.logout_with(&token, &[("Idempotency-Key", "k2")]).await.status, 401);
    assert_eq!(app.logout_with(&format!("{token}x"), &key).await.status, 401);
    app.stop().await;
}
