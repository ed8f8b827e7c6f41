//! Logins from pages of other origins. `user_service/tests/api/cors.rs` looks at the rest.

use awc::http::Method;
use shared::clock::Clock;
use testkit::wait::until;

use crate::test_app::{BOUND, TestApp};

const APP: &str = "https://app.example.com";

#[actix_web::test]
async fn a_page_of_a_named_origin_may_log_in() {
    let app = TestApp::start_with(&["--cors-origins", APP], Clock::system()).await;
    app.users.create("testuser", "testpassword");
    until("the first login", BOUND, async || {
        (app.login("testuser", "testpassword").await.status == 200).then_some(())
    })
    .await;
    let question = app.request(Method::OPTIONS, "/login").insert_header(("origin", APP));
    let question = question.insert_header(("access-control-request-method", "POST"));
    let answer = question.send().await.unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers().get("access-control-allow-methods").unwrap(), "POST");
    for (origin, allowed) in [(APP, Some(APP)), ("https://evil.example.com", None)] {
        let answer = app.login_with("testuser", "testpassword", &[("origin", origin)]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    app.stop().await;
}
