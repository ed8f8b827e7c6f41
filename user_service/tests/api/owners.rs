//! `USER_SERVICE_ACCESS=owner`, without an auth_service. `standalone/tests/end_to_end/owners.rs` has
//! one.

use serde_json::json;

use super::test_app::{Setup, TestApp};

async fn start(more: &[&'static str]) -> TestApp {
    // Nobody listens there.
    let flags = ["--user-service-access", "owner", "--auth-service-url", "http://127.0.0.1:1"];
    Setup { flags: [&flags, more].concat(), ..Setup::default() }.start().await
}

#[actix_web::test]
async fn while_auth_service_is_unreachable_tokens_are_neither_accepted_nor_called_invalid() {
    let app = start(&[]).await;
    let id = app.create("anna").await;
    let path = format!("/users/{id}");
    let answer = app.send("GET", &path, &[("authorization", "Bearer a.b.c")], "").await;
    answer.assert_problem(503, "not-yet-known");
    assert_eq!(answer.header("retry-after"), "1");
    for no_token in ["a", "a.b.c.d", "a.b.\\", &"a.b.c".repeat(5_000)] {
        let bearer = format!("Bearer {no_token}");
        let answer = app.send("GET", &path, &[("authorization", &bearer)], "").await;
        answer.assert_problem(401, "invalid-token");
    }
    for path in [&*path, "/users"] {
        app.get(path).await.assert_problem(401, "invalid-token");
        let admin = app.send("GET", path, &[("authorization", &app.admin())], "").await;
        assert_eq!(admin.status, 200, "the first administrator needs no auth_service");
    }
    app.stop().await;
}

#[actix_web::test]
async fn creating_may_be_left_to_administrators() {
    let app = start(&["--user-creation", "admins"]).await;
    let body = json!({"username": "anna", "password": "testpassword"});
    app.post(&body).await.assert_problem(401, "invalid-token");
    let admin = app.admin();
    let created = app.send_json("POST", "/users", &[("authorization", &admin)], &body).await;
    assert_eq!(created.status, 201);
    app.stop().await;
}
