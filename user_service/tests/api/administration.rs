//! What administrators may do, and what they make for users.

use std::os::unix::fs::PermissionsExt;

use contract::EventKind;
use serde_json::json;

use super::test_app::{Answer, Setup, TestApp};

const OTHERS: [Option<&str>; 3] = [None, Some("Bearer x"), Some("Basic eDp5")];

async fn call(app: &TestApp, method: &str, path: &str, authorization: Option<&str>) -> Answer {
    let headers: Vec<_> = authorization.iter().map(|value| ("authorization", *value)).collect();
    app.send(method, path, &headers, "").await
}

async fn reset_token(app: &TestApp, id: i64) -> String {
    let path = format!("/users/{id}/reset-token");
    let answer = call(app, "POST", &path, Some(&app.admin())).await;
    assert_eq!((answer.status, answer.header("cache-control")), (201, "no-store"));
    assert_eq!(answer.json()["expires_in"], 900);
    answer.json()["reset_token"].as_str().unwrap().to_owned()
}

async fn reset(app: &TestApp, token: &str, password: &str) -> Answer {
    let body = json!({"reset_token": token, "password": password});
    app.send_json("POST", "/password-reset", &[], &body).await
}

/// Whether this is the user's password.
async fn is_password(app: &TestApp, id: i64, password: &str) -> bool {
    let body = json!({"password": "another password", "current_password": password});
    app.put(id, &body).await.status == 200
}

#[actix_web::test]
async fn the_first_administrators_token_is_made_once_and_is_private() {
    let app = TestApp::start().await;
    let token = app.admin();
    let file = app.directory.path().join("admin.token");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let directory = app.stop().await;
    let app = Setup { directory, ..Setup::default() }.start().await;
    assert_eq!(app.admin(), token);
    app.stop().await;
}

#[actix_web::test]
async fn only_an_administrator_ends_sessions_and_makes_reset_tokens() {
    let app = TestApp::start().await;
    let id = app.create("anna").await;
    for (method, path) in
        [("DELETE", format!("/users/{id}/sessions")), ("POST", format!("/users/{id}/reset-token"))]
    {
        for other in OTHERS {
            let answer = call(&app, method, &path, other).await;
            answer.assert_problem(401, "invalid-token");
            assert!(answer.header("www-authenticate").starts_with("Bearer "), "{other:?}");
        }
        let nobody = path.replace(&format!("/{id}/"), "/99/");
        call(&app, method, &nobody, Some(&app.admin())).await.assert_problem(404, "no-such-user");
    }
    assert_eq!(app.records().len(), 1);
    app.stop().await;
}

#[actix_web::test]
async fn an_administrator_ends_all_sessions_and_leaves_the_user_as_they_are() {
    let app = TestApp::start().await;
    let id = app.create("anna").await;
    let tag = app.tag(id).await;
    let path = format!("/users/{id}/sessions");
    let answer = call(&app, "DELETE", &path, Some(&app.admin())).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let last = app.records().pop().unwrap();
    assert_eq!(last.kind, EventKind::SESSIONS_ENDED);
    assert_eq!(answer.header("consistency-token"), last.position.encode());
    assert_eq!(app.tag(id).await, tag);
    assert!(is_password(&app, id, "testpassword").await);
    app.stop().await;
}

#[actix_web::test]
async fn an_administrator_sets_a_password_without_the_current_one_and_nobody_else_does() {
    let app = TestApp::start().await;
    let id = app.create("anna").await;
    let (path, body) = (format!("/users/{id}"), json!({"password": "a new password"}));
    app.put(id, &body).await.assert_problem(422, "refused-value");
    let other = app.send_json("PUT", &path, &[("authorization", "Bearer x")], &body).await;
    other.assert_problem(401, "invalid-token");
    let admin = app.admin();
    let answer = app.send_json("PUT", &path, &[("authorization", &admin)], &body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"id": id, "username": "anna"})));
    assert!(!is_password(&app, id, "testpassword").await);
    assert!(is_password(&app, id, "a new password").await);
    let weak = json!({"password": "password1"});
    let refused = app.send_json("PUT", &path, &[("authorization", &admin)], &weak).await;
    refused.assert_problem(422, "refused-value");
    app.stop().await;
}

#[actix_web::test]
async fn a_token_that_nobody_asks_for_does_no_harm() {
    let app = TestApp::start().await;
    let id = app.create("anna").await;
    for other in ["Bearer x", "Bearer", "x"] {
        let headers = [("authorization", other)];
        let answer = app.send("GET", &format!("/users/{id}"), &headers, "").await;
        assert_eq!(answer.status, 200, "{other}");
        let body = json!({"username": format!("anna{}", other.len())});
        let answer = app.send_json("PUT", &format!("/users/{id}"), &headers, &body).await;
        assert_eq!(answer.status, 200, "{other}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_reset_token_sets_one_password_once() {
    let app = TestApp::start().await;
    let id = app.create("anna").await;
    let (token, second) = (reset_token(&app, id).await, reset_token(&app, id).await);
    reset(&app, &token, "short").await.assert_problem(422, "refused-value");
    reset(&app, &token, "password1").await.assert_problem(422, "refused-value");
    let answer = reset(&app, &token, "a new password").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"id": id, "username": "anna"})));
    assert_eq!(answer.header("etag"), app.tag(id).await);
    assert_eq!(answer.header("consistency-token"), app.records()[1].position.encode());
    for used in [&token, &second] {
        reset(&app, used, "yet another one").await.assert_problem(403, "invalid-reset-token");
    }
    assert!(is_password(&app, id, "a new password").await);
    app.stop().await;
}

#[actix_web::test]
async fn of_resets_with_one_token_at_the_same_moment_one_succeeds() {
    let app = TestApp::start().await;
    let id = app.create("anna").await;
    let token = reset_token(&app, id).await;
    let all = (0..8).map(|n| {
        let (app, token) = (&app, &token);
        async move { reset(app, token, &format!("a new password {n}")).await.status }
    });
    let statuses = futures_util::future::join_all(all).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 403].contains(status)), "{statuses:?}");
    app.stop().await;
}

#[actix_web::test]
async fn a_reset_token_dies_with_the_user_and_with_their_sessions() {
    let app = TestApp::start().await;
    let (anna, bert) = (app.create("anna").await, app.create("bert").await);
    let (token, deleted) = (reset_token(&app, anna).await, reset_token(&app, bert).await);
    call(&app, "DELETE", &format!("/users/{anna}/sessions"), Some(&app.admin())).await;
    app.delete(bert).await;
    for dead in [&*token, &deleted, "", "x", &token[1..]] {
        reset(&app, dead, "a new password").await.assert_problem(403, "invalid-reset-token");
    }
    let body = json!({"password": "a new password"});
    let answer = app.send_json("POST", "/password-reset", &[], &body).await;
    answer.assert_problem(400, "malformed-request");
    assert_eq!(answer.pointers(), ["/reset_token"]);
    app.stop().await;
}

const HASH: &str =
    "pbkdf2_sha256$1000$seasalt2seasalt2$oMkgxn1LpFGlUpMR5MeLkww3LiTG+ABYZRIN1tcQ9+M=";

#[actix_web::test]
async fn an_administrator_creates_a_user_with_the_hash_of_another_system_and_nobody_else_does() {
    let app = TestApp::start().await;
    let body = json!({"username": "anna", "password_hash": HASH});
    app.post(&body).await.assert_problem(401, "invalid-token");
    let other = app.send_json("POST", "/users", &[("authorization", "Bearer x")], &body).await;
    other.assert_problem(401, "invalid-token");
    assert_eq!(app.records().len(), 0);
    let admin = app.admin();
    let answer = app.send_json("POST", "/users", &[("authorization", &admin)], &body).await;
    assert_eq!((answer.status, answer.json()), (201, json!({"id": 1, "username": "anna"})));
    assert!(!is_password(&app, 1, "correct horse unicode").await);
    assert!(is_password(&app, 1, "correct horse \u{fc}n\u{ef}code").await);
    app.stop().await;
}

#[actix_web::test]
async fn a_hash_that_cannot_be_verified_or_costs_too_much_is_refused_with_the_reason() {
    let app = TestApp::start().await;
    let admin = app.admin();
    for (body, pointer, reason) in [
        (
            json!({"username": "anna", "password_hash": "$1$salt$hash"}),
            "/password_hash",
            "known form",
        ),
        (
            json!({"username": "anna", "password_hash": HASH.replace("1000", "3000000")}),
            "/password_hash",
            "2500000",
        ),
        (
            json!({"username": "anna", "password_hash": HASH, "password": "testpassword"}),
            "/password_hash",
            "one of them",
        ),
    ] {
        let answer = app.send_json("POST", "/users", &[("authorization", &admin)], &body).await;
        answer.assert_problem(422, "refused-value");
        assert_eq!(answer.pointers(), [pointer]);
        assert!(answer.text.contains(reason), "{}", answer.text);
    }
    for body in [json!({"username": "anna", "password_hash": 7}), json!({"password_hash": HASH})] {
        let answer = app.send_json("POST", "/users", &[("authorization", &admin)], &body).await;
        answer.assert_problem(400, "malformed-request");
    }
    assert_eq!(app.records().len(), 0);
    app.stop().await;
}
