//! A running service, a good token of it, and a forge that can sign as the service does.

use awc::http::Method;
use serde_json::json;

use crate::forge::Forge;
use crate::test_app::{Answer, TestApp, read};

/// What everyone is told whose token is refused: nothing of the reason.
const DETAIL: &str = "the token is malformed, expired, revoked or from another issuer";
const CHALLENGE: &str = r#"Bearer realm="lockstep", error="invalid_token""#;

pub(crate) async fn app_with_forge() -> (TestApp, String, Forge) {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    let forge = Forge::new(&token, app.dir.path());
    // Else the refusals would prove nothing.
    let copy = forge.signed(&forge.header_with(json!({})), &forge.claims_with(json!({})));
    assert!(app.is_alive(&copy).await, "the forge makes good tokens");
    (app, token, forge)
}

/// Stops the service; whatever it was sent, the good token is good.
pub(crate) async fn stop(app: TestApp, token: &str) {
    assert!(app.is_alive(token).await, "the good token has outlived the forged ones");
    app.stop().await;
}

pub(crate) async fn send(app: &TestApp, method: &Method, path: &str, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    let request = app.request(method.clone(), path).insert_header(("Authorization", authorization));
    read(request.send().await.unwrap()).await
}

/// Every path that takes a token refuses it, and says so as RFC 6750 wants, and no more.
pub(crate) async fn assert_refused(app: &TestApp, token: &str, what: &str) {
    for (method, path) in [(Method::GET, "/verify"), (Method::POST, "/logout")] {
        let answer = send(app, &method, path, token).await;
        assert_eq!(answer.status, 401, "{what}: {path} {token}");
        assert_eq!(answer.problem(), "invalid-token", "{what}");
        assert_eq!(answer.json()["detail"], DETAIL, "{what}");
        assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE), "{what}");
        assert_eq!(answer.header("x-user-id"), None, "{what}");
    }
}

/// The service takes it: a test of refusals needs to know where they begin.
pub(crate) async fn assert_taken(app: &TestApp, token: &str, what: &str) {
    let answer = send(app, &Method::GET, "/verify", token).await;
    assert_eq!(answer.status, 200, "{what}: {token}");
}
