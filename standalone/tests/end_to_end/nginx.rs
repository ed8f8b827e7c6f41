//! The site of examples/nginx: the real nginx with TLS in front of both services, of the example's application,
//! and of one that answers with the headers that it got.

mod proxy;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::contract_tools::{Program, repository};
use crate::curl::Answer;
use crate::documented::{INTEGRATE, block};
use crate::echo::{all_seen, reached_nobody, start_echo};
use crate::journeys::until_login_gives;
use crate::system::System;
use proxy::Proxy;

const PASSWORD: &str = "testpassword";

/// The application of the example.
fn start_application(auth: SocketAddr) -> (Program, SocketAddr) {
    let mut python = Command::new("/usr/bin/python3");
    python.arg(repository("examples/nginx/app.py")).args([&format!("http://{auth}"), "0"]);
    let mut program = Program::start(python.stdout(Stdio::piped()));
    let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let port = line.strip_prefix("listens on ").unwrap().parse().unwrap();
    (program, SocketAddr::from(([127, 0, 0, 1], port)))
}

fn get_as(proxy: &Proxy, token: &str) -> Answer {
    proxy.get("/me", &[("Authorization", &format!("Bearer {token}"))])
}

#[test]
fn the_page_shows_the_file_that_the_tests_run() {
    let file = std::fs::read_to_string(repository("examples/nginx/site.conf")).unwrap();
    assert_eq!(block(INTEGRATE, "nginx", &[]), file);
}

#[actix_web::test]
async fn somebody_signs_up_logs_in_and_out_through_nginx() {
    let settings = vec![("USER_SERVICE_ACCESS", "owner"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let mut system = System::with_settings(settings);
    let (_application, at) = start_application(system.client.auth);
    let proxy = Proxy::start(system.client, at).await;

    let plain = proxy.get_unencrypted("/me?a=b");
    let location = plain.header("location");
    assert_eq!((plain.status, location), (308, Some("https://localhost:8443/me?a=b")));
    assert_eq!(proxy.get("/", &[]).status, 200, "anybody may see it");
    assert_eq!(proxy.get("/me", &[]).status, 401);

    let person = json!({"username": "Zoë", "password": PASSWORD});
    let created = proxy.send("POST", "/users", &[], Some(&person));
    assert_eq!(created.status, 201, "{created:?}");
    for (method, path) in [("GET", "/users"), ("DELETE", "/users"), ("GET", "/users/1")] {
        let refused = proxy.send(method, path, &[], None).status;
        assert!([401, 403].contains(&refused), "{method} {path} is not published: {refused}");
    }
    let me = json!({"id": created.body["id"], "username": "Zoë"});

    let written = created.header("consistency-token").unwrap();
    let logged_in = proxy.send("POST", "/login", &[("Consistency-Token", written)], Some(&person));
    assert_eq!(logged_in.status, 200, "{logged_in:?}");
    let token = logged_in.body["token"].as_str().unwrap();
    assert_eq!(get_as(&proxy, token).body, me);

    a_browser_stays_logged_in_until_it_logs_out(&proxy, &person, &me);

    assert_eq!(get_as(&proxy, token).status, 200, "another session");
    assert_eq!(proxy.send("POST", "/logout/all", &[], None).status, 401, "not published");
    let bearer = format!("Bearer {token}");
    assert_eq!(proxy.send("POST", "/logout", &[("Authorization", &bearer)], None).status, 200);
    assert_eq!(get_as(&proxy, token).status, 401);
    logins_are_limited(&proxy);
    system.stop();
    proxy.stop();
}

/// The cookie of an answer as the browser sends it back.
fn cookie_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    let (pair, attributes) = answer.header("set-cookie").unwrap().split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; Secure; SameSite=Lax");
    pair.to_owned()
}

fn a_browser_stays_logged_in_until_it_logs_out(proxy: &Proxy, person: &Value, me: &Value) {
    let wrong = json!({"username": "Zoë", "password": "wrong password"});
    let refused = proxy.send("POST", "/session", &[], Some(&wrong));
    assert_eq!((refused.status, refused.header("set-cookie")), (401, None));
    assert_eq!(refused.body["type"], "/problems/wrong-credentials");

    let first = cookie_of(&proxy.send("POST", "/session", &[], Some(person)));
    let forged = [("Cookie", &*first), ("X-User-Id", "999"), ("X-Username", "root")];
    assert_eq!(proxy.get("/me", &forged).body, *me);
    let second = cookie_of(&proxy.send("PUT", "/session", &[("Cookie", &first)], None));
    assert_ne!(first, second);
    assert_eq!(proxy.get("/me", &[("Cookie", &second)]).body, *me);

    let out = proxy.send("POST", "/logout", &[("Cookie", &second)], None);
    assert_eq!(out.status, 200, "{out:?}");
    assert!(out.header("set-cookie").unwrap().starts_with("token=; Max-Age=0; Path=/;"));
    assert_eq!(proxy.get("/me", &[("Cookie", &second)]).status, 401);
    let again = proxy.send("PUT", "/session", &[("Cookie", &second)], None);
    assert_eq!((again.status, again.header("set-cookie")), (401, None));
}

fn logins_are_limited(proxy: &Proxy) {
    let limited = until_a_login_is_limited(proxy);
    assert_eq!(limited.header("content-type"), Some("application/problem+json"));
    assert_eq!((limited.header("retry-after"), &limited.body["status"]), (Some("10"), &json!(429)));
    // One login a second is allowed again, and a busy machine may be as slow. With a limit of its own
    // the first ten at `/session` would pass.
    let is_limited_as_well = (0..10).any(|_| {
        until_a_login_is_limited(proxy);
        proxy.send("POST", "/session", &[], Some(&json!({}))).status == 429
    });
    assert!(is_limited_as_well, "both logins have one limit");
    assert_eq!(proxy.get("/", &[]).status, 200, "nothing else is limited");
}

fn until_a_login_is_limited(proxy: &Proxy) -> Answer {
    let answers = (0..40).map(|_| proxy.send("POST", "/login", &[], Some(&json!({}))));
    answers.into_iter().find(|answer| answer.status == 429).unwrap()
}

#[actix_web::test]
async fn nginx_lets_through_what_carries_a_live_token_and_nothing_else() {
    let mut system = System::in_one_process();
    let user = system.client.create("Zoë", PASSWORD).await;
    until_login_gives(system.client, "Zoë", PASSWORD, 200).await;
    let token = system.client.token("Zoë", PASSWORD).await;
    let proxy = Proxy::start(system.client, start_echo()).await;

    a_live_token_passes(&proxy, &token, user.id);
    what_a_client_says_of_itself_is_replaced(&proxy, &token, user.id);
    no_other_form_of_the_header_passes(&proxy, &token);
    a_token_in_a_cookie_passes(&proxy, &token, user.id);

    let bearer = format!("Bearer {token}");
    let inside = proxy.get("/_verify", &[("Authorization", &bearer)]);
    assert_eq!(inside.status, 404, "the inner location is for nginx alone");
    let broken = proxy.get("/broken", &[("Authorization", &bearer)]);
    assert_eq!(broken.status, 500, "of the application, not of auth_service");
    assert_eq!(broken.header("retry-after"), None);

    assert_eq!(system.client.logout(&token).await.status, 200);
    let logged_out = get_as(&proxy, &token);
    assert!(logged_out.status == 401 && reached_nobody(&logged_out), "{logged_out:?}");
    let challenge = logged_out.header("www-authenticate").unwrap();
    assert!(challenge.contains("invalid_token"), "{challenge}");

    let live = system.client.token("Zoë", PASSWORD).await;
    assert_eq!(get_as(&proxy, &live).status, 200);
    system.stop();
    let unknown = get_as(&proxy, &live);
    assert!(unknown.status == 503 && reached_nobody(&unknown), "{unknown:?}");
    assert_eq!(unknown.header("retry-after"), Some("1"));
    proxy.stop();
}

fn a_live_token_passes(proxy: &Proxy, token: &str, id: i64) {
    let answer = get_as(proxy, token);
    assert_eq!(answer.status, 200);
    assert_eq!(all_seen(&answer, "x-user-id"), [id.to_string()]);
    assert_eq!(all_seen(&answer, "x-username"), ["Zo%C3%AB"]);
    assert!(all_seen(&answer, "authorization").is_empty(), "{answer:?}");
}

fn a_token_in_a_cookie_passes(proxy: &Proxy, token: &str, id: i64) {
    let answer = proxy.get("/me", &[("Cookie", &format!("other=1; token={token}"))]);
    assert_eq!(answer.status, 200);
    assert_eq!(all_seen(&answer, "x-user-id"), [id.to_string()]);
    for cookie in ["token=", "token=x", "other=1"] {
        let answer = proxy.get("/me", &[("Cookie", cookie)]);
        assert!(answer.status == 401 && reached_nobody(&answer), "{cookie}: {answer:?}");
    }
}

fn what_a_client_says_of_itself_is_replaced(proxy: &Proxy, token: &str, id: i64) {
    let bearer = format!("Bearer {token}");
    let names = ["x-user-id", "X-USER-ID", "x_user_id", "x-username", "x_username"];
    let forged = names.map(|name| (name, "forged"));
    let answer = proxy.get("/me", &[&[("Authorization", &*bearer)], &forged[..]].concat());
    assert_eq!(answer.status, 200);
    assert_eq!(all_seen(&answer, "x-user-id"), [id.to_string()]);
    assert_eq!(all_seen(&answer, "x-username"), ["Zo%C3%AB"]);
    assert!(!answer.body.to_string().contains("forged"), "{answer:?}");
    let public = proxy.get("/", &forged);
    assert!(!public.body.to_string().contains("forged"), "{public:?}");
}

fn no_other_form_of_the_header_passes(proxy: &Proxy, token: &str) {
    let without = proxy.get("/me", &[("X-User-Id", "1")]);
    assert!(without.status == 401 && reached_nobody(&without), "{without:?}");
    assert!(without.header("www-authenticate").unwrap().starts_with("Bearer"));
    let encoded = [format!("Bearer%20{token}"), format!("Bearer {}", token.replace('.', "%2E"))];
    for value in encoded {
        let answer = proxy.get("/me", &[("Authorization", &value)]);
        assert!(answer.status == 401 && reached_nobody(&answer), "{value}: {answer:?}");
    }
    let bearer = format!("Bearer {token}");
    for other in [&*bearer, "Bearer x", "Basic eDp5"] {
        let answer = proxy.get("/me", &[("Authorization", &bearer), ("Authorization", other)]);
        assert!(reached_nobody(&answer), "{answer:?}");
        assert!([400, 401].contains(&answer.status), "{answer:?}");
    }
}
