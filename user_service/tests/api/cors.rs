//! What browsers are told about pages of other origins. auth_service shares the code; its tests look at a login.

use serde_json::json;

use crate::test_app::{Answer, Setup, TestApp};

const APP: &str = "https://app.example.com";
const ALLOWED: &str = "access-control-allow-origin";

async fn start() -> TestApp {
    let flags = vec!["--cors-origins", "https://app.example.com,http://localhost:3000"];
    Setup { flags, ..Setup::default() }.start().await
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().unwrap())
}

fn has_no_permission(answer: &Answer) -> bool {
    answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-"))
}

async fn ask(app: &TestApp, path: &str, origin: &str) -> Answer {
    let headers = [("origin", origin), ("access-control-request-method", "PUT")];
    app.send("OPTIONS", path, &headers, "").await
}

#[actix_web::test]
async fn a_page_of_a_named_origin_may_call_and_read() {
    let app = start().await;
    for origin in [APP, "http://localhost:3000"] {
        let answer = ask(&app, "/users/1", origin).await;
        assert_eq!(answer.status, 204);
        assert_eq!(header(&answer, ALLOWED), Some(origin));
        assert_eq!(header(&answer, "vary"), Some("Origin"));
        let methods = header(&answer, "access-control-allow-methods");
        assert_eq!(methods, Some("GET, HEAD, PUT, DELETE"));
        let headers = header(&answer, "access-control-allow-headers").unwrap();
        assert!(headers.contains("Authorization") && headers.contains("If-Match"), "{headers}");
        assert_eq!(header(&answer, "access-control-max-age"), Some("600"));
    }
    let body = json!({"username": "anna", "password": "testpassword"});
    let created = app.send_json("POST", "/users", &[("origin", APP)], &body).await;
    // It can read what went wrong, too.
    let taken = app.send_json("POST", "/users", &[("origin", APP)], &body).await;
    assert_eq!([created.status, taken.status], [201, 409]);
    for answer in [created, taken] {
        assert_eq!(header(&answer, ALLOWED), Some(APP));
        let exposed = header(&answer, "access-control-expose-headers").unwrap();
        assert!(exposed.contains("Consistency-Token"), "{exposed}");
        // No cookies: any page that the person opens would have them sent.
        assert_eq!(header(&answer, "access-control-allow-credentials"), None);
    }
    app.stop().await;
}

#[actix_web::test]
async fn pages_of_other_origins_may_not() {
    let app = start().await;
    for origin in [
        "https://example.com",
        "http://app.example.com",
        "https://app.example.com.evil.org",
        "https://APP.example.com",
        "https://app.example.com:8443",
        "null",
        "*",
    ] {
        let answer = ask(&app, "/users", origin).await;
        assert_eq!(answer.status, 405, "{origin}");
        assert!(has_no_permission(&answer), "{origin} {answer:?}");
        let answer = app.send("GET", "/users", &[("origin", origin)], "").await;
        assert!(has_no_permission(&answer), "{origin} {answer:?}");
        // A cache must not give it to the page that may.
        assert_eq!(header(&answer, "vary"), Some("Origin"));
    }
    // Not a browser's question: it lacks the method.
    let answer = app.send("OPTIONS", "/users", &[("origin", APP)], "").await;
    assert_eq!(answer.status, 405);
    app.stop().await;
}

#[actix_web::test]
async fn without_the_setting_nothing_is_said_of_origins() {
    let app = TestApp::start().await;
    assert_eq!(ask(&app, "/users", APP).await.status, 405);
    let answer = app.send("GET", "/users", &[("origin", APP)], "").await;
    assert!(has_no_permission(&answer) && header(&answer, "vary").is_none(), "{answer:?}");
    app.stop().await;
}
