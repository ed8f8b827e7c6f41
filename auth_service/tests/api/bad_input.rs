use awc::http::Method;
use serde_json::json;

use crate::test_app::{Answer, TestApp, read};

async fn post(app: &TestApp, content_type: &str, body: impl Into<bytes::Bytes>) -> Answer {
    let request = app.request(Method::POST, "/login").insert_header(("Content-Type", content_type));
    read(request.send_body(body.into()).await.unwrap()).await
}

#[actix_web::test]
async fn a_login_of_the_wrong_form_is_named_as_such() {
    let app = TestApp::start().await;
    for bad in [
        "",
        "{",
        "[]",
        "null",
        r#"{"username":"a"}"#,
        r#"{"username":"a","password":null}"#,
        r#"{"username":1,"password":"testpassword"}"#,
        r#"{"username":"a","password":"testpassword","extra":1}"#,
        r#"{"username":"a","username":"b","password":"testpassword"}"#,
        r#"{"username":"a","password":"\ud800"}"#,
    ] {
        let answer = post(&app, "application/json", bad).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed-request"), "{bad}");
    }
    let answer = post(&app, "application/json", r#"{"password":1,"x":2}"#).await;
    let pointers: Vec<_> = answer.json()["errors"].as_array().unwrap().clone();
    let pointers: Vec<_> = pointers.iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, [json!("/username"), json!("/password"), json!("/x")]);
    let not_utf8 = b"{\"username\":\"\xff\",\"password\":\"testpassword\"}".as_slice();
    assert_eq!(post(&app, "application/json", not_utf8).await.status, 400);
    app.stop().await;
}

#[actix_web::test]
async fn only_small_json_in_utf_8_is_a_body() {
    let app = TestApp::start().await;
    let good = r#"{"username":"a","password":"testpassword"}"#;
    for bad in ["text/plain", "application/xml", "application/json; charset=latin1", ""] {
        let answer = post(&app, bad, good).await;
        assert_eq!((answer.status, answer.problem().as_str()), (415, "unsupported-media-type"));
    }
    assert_eq!(post(&app, "application/json; charset=utf-8", good).await.status, 401);
    let large = json!({ "username": "a", "password": "x".repeat(17_000) }).to_string();
    let answer = post(&app, "application/json", large).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "body-too-large"));
    app.stop().await;
}

#[actix_web::test]
async fn a_malformed_header_is_not_taken_for_an_absent_one() {
    let app = TestApp::start().await;
    let twice: &[(&str, &str)] = &[("Idempotency-Key", "a"), ("Idempotency-Key", "a")];
    for headers in [
        &[("Consistency-Token", "nonsense")] as &[(&str, &str)],
        &[("Consistency-Token", "")],
        &[("Consistency-Token", "AAAAAAAAAAE"), ("Consistency-Token", "AAAAAAAAAAE")],
        &[("Idempotency-Key", "")],
        &[("Idempotency-Key", "a b")],
        twice,
    ] {
        let answer = app.login_with("testuser", "testpassword", headers).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed-request"));
    }
    app.stop().await;
}

#[actix_web::test]
async fn without_a_good_token_nobody_is_logged_out_or_verified() {
    let app = TestApp::start().await;
    let (plain, invalid) =
        (r#"Bearer realm="lockstep""#, r#"Bearer realm="lockstep", error="invalid_token""#);
    for (method, path) in [(Method::POST, "/logout"), (Method::GET, "/verify")] {
        for (authorization, challenge) in [
            (None, plain),
            (Some("Basic dGVzdDp0ZXN0"), plain),
            (Some("Bearer"), invalid),
            (Some("Bearer a.b.c"), invalid),
            (Some("Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30."), invalid),
        ] {
            let mut request = app.request(method.clone(), path);
            if let Some(authorization) = authorization {
                request = request.insert_header(("Authorization", authorization));
            }
            let answer = read(request.send().await.unwrap()).await;
            assert_eq!((answer.status, answer.problem().as_str()), (401, "invalid-token"));
            assert_eq!(answer.header("www-authenticate"), Some(challenge), "{authorization:?}");
        }
    }
    app.stop().await;
}

#[actix_web::test]
async fn paths_and_methods_that_are_not_there_are_problems_too() {
    let app = TestApp::start().await;
    for (method, path, allow) in [
        (Method::GET, "/login", "POST"),
        (Method::DELETE, "/logout", "POST"),
        (Method::POST, "/verify", "GET, HEAD"),
        (Method::PUT, "/.well-known/jwks.json", "GET, HEAD"),
    ] {
        let answer = read(app.request(method, path).send().await.unwrap()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (405, "method-not-allowed"));
        assert_eq!(answer.header("allow"), Some(allow));
    }
    for path in ["/", "/login/", "/users", "/Login"] {
        let answer = app.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "no-such-path"), "{path}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn the_request_id_of_a_client_comes_back() {
    let app = TestApp::start().await;
    let request = app.request(Method::GET, "/verify").insert_header(("X-Request-Id", "abc-1"));
    let answer = read(request.send().await.unwrap()).await;
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    assert_eq!(app.get("/healthz").await.header("x-request-id").unwrap().len(), 32);
    app.stop().await;
}

#[actix_web::test]
async fn the_document_and_the_metrics_are_there() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await.json();
    assert!(document["paths"]["/login"]["post"]["responses"]["401"].is_object());
    assert_eq!(app.metric("lockstep_projection_lag_records").await, 0);
    app.stop().await;
}
