//! `/introspect`, `/revoke` and the metadata.

use awc::http::Method;
use serde_json::json;
use shared::clock::Clock;

use crate::test_app::{Answer, TestApp, read};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const CLIENTS: [&str; 2] = ["--introspection-clients", "proxy:0123456789abcdef0123456789abcdef"];
const CHALLENGE: &str = r#"Basic realm="lockstep clients", charset="UTF-8""#;

async fn app_with_clients() -> TestApp {
    let app = TestApp::start_with(&CLIENTS, Clock::system()).await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    app
}

async fn post(app: &TestApp, path: &str, client: (&str, &str), form: &str) -> Answer {
    let request = app.request(Method::POST, path).basic_auth(client.0, client.1);
    let request = request.insert_header(("Content-Type", "application/x-www-form-urlencoded"));
    read(request.send_body(form.to_owned()).await.unwrap()).await
}

async fn ask(app: &TestApp, path: &str, token: &str) -> Answer {
    post(app, path, ("proxy", SECRET), &format!("token={token}&token_type_hint=access_token")).await
}

#[actix_web::test]
async fn a_token_is_active_exactly_as_long_as_verify_accepts_it() {
    let app = app_with_clients().await;
    let token = app.login("testuser", "testpassword").await.token();
    let answer = ask(&app, "/introspect", &token).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let told = answer.json();
    assert_eq!(told["active"], true);
    assert_eq!((&told["sub"], &told["username"]), (&json!("1"), &json!("testuser")));
    assert_eq!((&told["iss"], &told["token_type"]), (&json!("lockstep"), &json!("Bearer")));
    assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 900);
    let other = app.login("testuser", "testpassword").await.token();
    app.logout(&token).await;
    for dead in [&*token, "nonsense", &other[..other.len() - 5]] {
        let answer = ask(&app, "/introspect", dead).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"active": false})), "{dead}");
    }
    app.users.change_password(1, "otherpassword");
    app.bring().await;
    assert_eq!(ask(&app, "/introspect", &other).await.json(), json!({"active": false}));
    app.stop().await;
}

#[actix_web::test]
async fn a_revoked_token_is_dead_across_restarts_and_revoking_repeats_without_harm() {
    let app = app_with_clients().await;
    let token = app.login("testuser", "testpassword").await.token();
    for text in [&*token, &token, "nonsense"] {
        let answer = ask(&app, "/revoke", text).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{text}");
        assert!(!app.is_alive(&token).await);
    }
    let app = app.restart_after(|_| {}).await;
    assert!(!app.is_alive(&token).await);
    app.stop().await;
}

#[actix_web::test]
async fn who_does_not_know_a_secret_learns_and_revokes_nothing() {
    let app = app_with_clients().await;
    let token = app.login("testuser", "testpassword").await.token();
    for path in ["/introspect", "/revoke"] {
        for client in [("proxy", "wrong"), ("other", SECRET), ("", "")] {
            let answer = post(&app, path, client, &format!("token={token}")).await;
            assert_eq!((answer.status, answer.problem().as_str()), (401, "invalid-client"));
            assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE));
            assert_eq!(answer.json()["error"], "invalid_client");
        }
        let bearer = app.request(Method::POST, path).bearer_auth(&token);
        let bearer = bearer.insert_header(("Content-Type", "application/x-www-form-urlencoded"));
        let answer = read(bearer.send_body(format!("token={token}")).await.unwrap()).await;
        assert_eq!(answer.problem(), "invalid-client");
    }
    assert!(app.is_alive(&token).await);
    app.stop().await;
}

#[actix_web::test]
async fn a_form_without_one_token_is_an_invalid_request() {
    let app = app_with_clients().await;
    for path in ["/introspect", "/revoke"] {
        for form in ["", "token=", "token=a&token=b"] {
            let answer = post(&app, path, ("proxy", SECRET), form).await;
            assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed-request"));
            assert_eq!(answer.json()["error"], "invalid_request", "{form}");
        }
        let request = app.request(Method::POST, path).basic_auth("proxy", SECRET);
        let answer = read(request.send_json(&json!({"token": "a"})).await.unwrap()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (415, "unsupported-media-type"));
        assert_eq!(answer.header("accept"), Some("application/x-www-form-urlencoded"));
        assert_eq!(app.get(path).await.status, 405);
    }
    app.stop().await;
}

#[actix_web::test]
async fn without_the_setting_both_are_off_and_the_metadata_does_not_name_them() {
    let app = TestApp::start().await;
    for path in ["/introspect", "/revoke"] {
        let answer = ask(&app, path, "a").await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "no-clients"));
    }
    let base = format!("http://{}", app.address());
    let metadata = app.get("/.well-known/oauth-authorization-server").await;
    let expected = json!({
        "issuer": "lockstep",
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "scopes_supported": ["admin"],
        "response_types_supported": [],
        "grant_types_supported": [],
    });
    assert_eq!((metadata.status, metadata.json()), (200, expected));
    app.stop().await;
}

#[actix_web::test]
async fn the_metadata_of_an_issuer_with_a_url_leads_there() {
    let settings = [&CLIENTS[..], &["--token-issuer", "https://auth.example/a"]].concat();
    let app = TestApp::start_with(&settings, Clock::system()).await;
    let metadata = app.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["issuer"], "https://auth.example/a");
    for (member, path) in [
        ("jwks_uri", "/.well-known/jwks.json"),
        ("introspection_endpoint", "/introspect"),
        ("revocation_endpoint", "/revoke"),
    ] {
        assert_eq!(metadata[member], format!("https://auth.example/a{path}"));
    }
    let methods = json!(["client_secret_basic"]);
    assert_eq!(metadata["introspection_endpoint_auth_methods_supported"], methods);
    app.stop().await;
}
