use serde_json::json;

use crate::test_app::TestApp;

const JSON: (&str, &str) = ("content-type", "application/json");

#[actix_web::test]
async fn bodies_of_the_wrong_form_are_problems_and_change_nothing() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let nested = format!(r#"{{"username":{}"#, "[".repeat(8000));
    let bodies: &[&[u8]] = &[
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\"text\"",
        b"{} {}",
        b"\xff\xfe",
        b"{\"username\":\"\xff\",\"password\":\"testpassword\"}",
        br#"{"username":"x","username":"y","password":"testpassword"}"#,
        br#"{"username":"x","password":"testpassword","admin":true}"#,
        br#"{"username":7,"password":"testpassword"}"#,
        br#"{"username":null,"password":"testpassword"}"#,
        br#"{"username":["x"],"password":"testpassword"}"#,
        br#"{"username":"x","password":{"a":"b"}}"#,
        br#"{"username":"x\ud800","password":"testpassword"}"#,
        b"username=x&password=testpassword",
        nested.as_bytes(),
    ];
    for (method, path) in [("POST", "/users"), ("PUT", "/users/1")] {
        for body in bodies {
            let answer = app.send(method, path, &[JSON], *body).await;
            answer.assert_problem(400, "malformed-request");
        }
    }
    assert_eq!(app.records().len(), 1);
    app.stop().await;
}

#[actix_web::test]
async fn missing_wrong_and_unknown_members_are_all_named_at_once() {
    let app = TestApp::start().await;
    let answer = app.post(&json!({"password": 7, "is/admin": true})).await;
    answer.assert_problem(400, "malformed-request");
    assert_eq!(answer.pointers(), ["/username", "/password", "/is~1admin"]);
    app.stop().await;
}

#[actix_web::test]
async fn an_answer_is_small_however_much_is_wrong() {
    let app = TestApp::start().await;
    let members: Vec<String> = (0..1_500).map(|n| format!(r#""m{n}":0"#)).collect();
    let long = format!(r#"{{"{}":0}}"#, "/".repeat(16_000));
    for body in [format!("{{{}}}", members.join(",")), long] {
        let answer = app.send("POST", "/users", &[JSON], body).await;
        answer.assert_problem(400, "malformed-request");
        assert!(answer.text.len() < 4_000, "{}", answer.text.len());
    }
    app.stop().await;
}

#[actix_web::test]
async fn only_plain_json_in_utf_8_is_a_body() {
    let app = TestApp::start().await;
    let body = json!({"username": "anna", "password": "testpassword"}).to_string();
    for headers in [
        vec![],
        vec![("content-type", "text/plain")],
        vec![("content-type", "application/x-www-form-urlencoded")],
        vec![("content-type", "application/json; charset=utf-16")],
        vec![("content-type", "application/json; charset=nonsense")],
        vec![JSON, ("content-encoding", "gzip")],
        vec![JSON, ("content-encoding", "identity"), ("content-encoding", "br")],
    ] {
        let answer = app.send("POST", "/users", &headers, body.clone()).await;
        answer.assert_problem(415, "unsupported-media-type");
        let is_coded = headers.iter().any(|(name, _)| *name == "content-encoding");
        assert_eq!(answer.headers.contains_key("accept-encoding"), is_coded);
    }
    for (n, headers) in [
        vec![("content-type", "Application/JSON; charset=\"UTF-8\"")],
        vec![("content-type", "application/json ; charset=utf-8")],
        vec![JSON, ("content-encoding", "identity")],
    ]
    .iter()
    .enumerate()
    {
        let body = json!({"username": format!("anna{n}"), "password": "testpassword"});
        assert_eq!(app.send("POST", "/users", headers, body.to_string()).await.status, 201);
    }
    app.stop().await;
}

#[actix_web::test]
async fn ids_that_are_none_are_problems() {
    let app = TestApp::start().await;
    app.create("anna").await;
    for bad in ["0", "-1", "+1", "01", "1.0", "abc", "9223372036854775808", "%31x", "%ff", "1%20"] {
        let path = format!("/users/{bad}");
        app.get(&path).await.assert_problem(400, "malformed-request");
        let deleted = app.send("DELETE", &path, &[], "").await;
        deleted.assert_problem(400, "malformed-request");
        let put = app.send_json("PUT", &path, &[], &json!({"username": "x"})).await;
        put.assert_problem(400, "malformed-request");
    }
    assert_eq!(app.records().len(), 1);
    app.stop().await;
}

#[actix_web::test]
async fn a_method_that_a_path_does_not_take_is_answered_with_those_that_it_takes() {
    let app = TestApp::start().await;
    for (method, path, allow) in [
        ("DELETE", "/users", "GET, HEAD, POST"),
        ("PUT", "/users", "GET, HEAD, POST"),
        ("BREW", "/users", "GET, HEAD, POST"),
        ("POST", "/users/1", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/users/1", "GET, HEAD, PUT, DELETE"),
        ("POST", "/readyz", "GET, HEAD"),
    ] {
        let answer = app.send(method, path, &[], "").await;
        answer.assert_problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allow);
    }
    app.stop().await;
}

#[actix_web::test]
async fn unknown_paths_are_problems() {
    let app = TestApp::start().await;
    for path in ["/", "/users/", "/users/1/", "/users/1/x", "/USERS", "/nothing", "/users%2F1"] {
        app.get(path).await.assert_problem(404, "no-such-path");
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_request_id_is_taken_over_and_otherwise_made() {
    let app = TestApp::start().await;
    let given = app.send("GET", "/nothing", &[("x-request-id", "mine-1")], "").await;
    assert_eq!(given.header("x-request-id"), "mine-1");
    let unfit = app.send("GET", "/users", &[("x-request-id", "a b")], "").await;
    assert_eq!(unfit.header("x-request-id").len(), 32);
    app.stop().await;
}

#[actix_web::test]
async fn the_trace_of_a_request_is_kept_with_its_record() {
    let app = TestApp::start().await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body = json!({"username": "anna", "password": "testpassword"});
    app.send_json("POST", "/users", &[("traceparent", traceparent)], &body).await;
    app.send("DELETE", "/users/1", &[("traceparent", "nonsense")], "").await;
    let traces: Vec<_> = app.records().into_iter().map(|record| record.traceparent).collect();
    assert_eq!(traces, [Some(traceparent.to_owned()), None]);
    app.stop().await;
}
