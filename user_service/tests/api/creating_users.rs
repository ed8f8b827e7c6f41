use serde_json::json;

use crate::test_app::TestApp;
use contract::Position;

#[actix_web::test]
async fn a_user_is_created_and_the_password_is_not_shown() {
    let app = TestApp::start().await;
    let answer = app.post(&json!({"username": "testuser", "password": "testpassword"})).await;
    assert_eq!((answer.status, answer.text.as_str()), (201, r#"{"id":1,"username":"testuser"}"#));
    assert_eq!(answer.header("location"), "/users/1");
    assert_eq!(answer.header("content-type"), "application/json");
    let token = answer.header("consistency-token");
    assert_eq!(answer.header("etag"), format!("\"{token}\""), "both name the record");
    assert_eq!(Position::decode(token).map(|position| position.seq), Some(1));
    app.stop().await;
}

#[actix_web::test]
async fn a_name_is_shown_in_nfc_and_taken_in_every_case_composition_and_width() {
    let app = TestApp::start().await;
    let answer = app.post(&json!({"username": "Jose\u{301}", "password": "testpassword"})).await;
    assert_eq!(answer.json()["username"], "Jos\u{e9}");
    for same in ["jos\u{e9}", "JOSE\u{301}", "\u{ff2a}os\u{e9}"] {
        let answer = app.post(&json!({"username": same, "password": "testpassword"})).await;
        answer.assert_problem(409, "username-taken");
        assert_eq!(answer.pointers(), ["/username"]);
    }
    app.stop().await;
}

#[actix_web::test]
async fn values_that_break_a_rule_are_all_named_at_once() {
    let app = TestApp::start().await;
    let answer = app.post(&json!({"username": "a b", "password": "short"})).await;
    answer.assert_problem(422, "refused-value");
    assert_eq!(answer.pointers(), ["/username", "/password"]);
    for (username, password) in [
        ("", "testpassword"),
        (&*"x".repeat(65), "testpassword"),
        ("a\u{202e}b", "testpassword"),
        ("a\u{200b}b", "testpassword"),
        ("a\0b", "testpassword"),
        ("anna", "1234567"),
        ("anna", &*"x".repeat(129)),
        ("anna", "test\u{7}password"),
    ] {
        let answer = app.post(&json!({"username": username, "password": password})).await;
        answer.assert_problem(422, "refused-value");
        assert!(!answer.text.contains("password\u{7}"));
    }
    assert_eq!(app.get("/users").await.text, "[]");
    app.stop().await;
}

#[actix_web::test]
async fn names_and_passwords_may_be_as_long_and_as_short_as_the_limits() {
    let app = TestApp::start().await;
    for (username, password) in
        [("x", "8 chars!"), (&*"é".repeat(64), &*"ü".repeat(128)), ("anna", "  spaces  ")]
    {
        let answer = app.post(&json!({"username": username, "password": password})).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    app.stop().await;
}
