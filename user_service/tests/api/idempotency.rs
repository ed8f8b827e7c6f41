use serde_json::{Value, json};

use crate::test_app::{Answer, TestApp};

async fn post(app: &TestApp, key: &str, body: &Value) -> Answer {
    app.send_json("POST", "/users", &[("idempotency-key", key)], body).await
}

fn anna() -> Value {
    json!({"username": "anna", "password": "testpassword"})
}

#[actix_web::test]
async fn a_repeated_request_gets_the_first_answer_whatever_happened_since() {
    let app = TestApp::start().await;
    let first = post(&app, "\"k-1\"", &anna()).await;
    app.put(1, &json!({"username": "bert"})).await;
    let again = post(&app, "k-1", &anna()).await;
    assert_eq!((first.status, &first.text), (201, &again.text));
    assert_eq!(again.status, 201);
    for name in ["location", "etag", "consistency-token"] {
        assert_eq!(first.header(name), again.header(name), "{name}");
    }
    assert_eq!(app.records().len(), 2);
    app.stop().await;
}

#[actix_web::test]
async fn a_refusal_is_repeated_too() {
    let app = TestApp::start().await;
    app.create("anna").await;
    post(&app, "k", &anna()).await.assert_problem(409, "username-taken");
    app.delete(1).await;
    post(&app, "k", &anna()).await.assert_problem(409, "username-taken");
    app.stop().await;
}

#[actix_web::test]
async fn the_same_members_in_another_order_and_notation_are_the_same_request() {
    let app = TestApp::start().await;
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    for body in [
        r#"{"username":"anna","password":"testpassword"}"#,
        r#"{ "password" : "testpassword", "username" : "\u0061nna" }"#,
        "\u{feff}{\"password\":\"testpassword\",\n\"username\":\"anna\"}",
    ] {
        let answer = app.send("POST", "/users", &headers, body).await;
        assert_eq!((answer.status, answer.text.as_str()), (201, r#"{"id":1,"username":"anna"}"#));
    }
    assert_eq!(app.records().len(), 1);
    app.stop().await;
}

#[actix_web::test]
async fn a_key_stands_for_one_request_alone() {
    let app = TestApp::start().await;
    post(&app, "k", &anna()).await;
    let other = json!({"username": "anna", "password": "otherpassword"});
    post(&app, "k", &other).await.assert_problem(422, "idempotency-key-reused");
    app.stop().await;
}

#[actix_web::test]
async fn what_is_no_key_is_a_problem() {
    let app = TestApp::start().await;
    for bad in ["", "\"\"", "a b", "\"a", &"x".repeat(256)] {
        post(&app, bad, &anna()).await.assert_problem(400, "malformed-request");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let answer = app.send_json("POST", "/users", &twice, &anna()).await;
    answer.assert_problem(400, "malformed-request");
    app.stop().await;
}

#[actix_web::test]
async fn requests_with_one_key_at_the_same_moment_create_one_user_and_get_one_answer() {
    let app = TestApp::start().await;
    let body = anna();
    let all = futures_util::future::join_all((0..8).map(|_| post(&app, "k", &body))).await;
    assert!(all.iter().all(|answer| answer.status == 201 && answer.text == all[0].text));
    assert_eq!(app.records().len(), 1);
    app.stop().await;
}
