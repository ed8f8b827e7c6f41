//! The examples with Traefik and Envoy: the real proxies in front of auth_service and of an application that answers
//! with what it got.

mod process;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use contract::token_record::SigningAlgorithm;
use serde_json::json;
use shared::tokens::SigningKey;

use crate::contract_tools::repository;
use crate::curl::Answer;
use crate::documented::{PROXIES, block};
use crate::documented_verifiers::changed;
use crate::echo::{all_seen, reached_nobody, start_echo};
use crate::journeys::until_login_gives;
use crate::system::System;
use process::Proxy;

const PASSWORD: &str = "testpassword";
const REPORT: &str = "/reports/1";
const FORGED_HEADERS: [(&str, &str); 8] = [
    ("X-User-Id", "forged"),
    ("x-user-id", "forged"),
    ("X_User_Id", "forged"),
    ("x-user_id", "forged"),
    ("X_USER-ID", "forged"),
    ("X-Username", "forged"),
    ("x_username", "forged"),
    // A proxy that obeys it would drop what it has set itself.
    ("Connection", "X-User-Id, X-Username"),
];

/// The services, the application and one user.
struct Site {
    system: System,
    application: SocketAddr,
    id: i64,
}

impl Site {
    async fn start() -> Self {
        let system = System::in_one_process();
        let id = system.client.create("Zoë", PASSWORD).await.id;
        until_login_gives(system.client, "Zoë", PASSWORD, 200).await;
        Self { system, application: start_echo(), id }
    }

    async fn token(&self) -> String {
        self.system.client.token("Zoë", PASSWORD).await
    }

    async fn log_out(&self, token: &str) {
        assert_eq!(self.system.client.logout(token).await.status, 200);
    }

    /// Tokens that nobody may accept.
    fn bad_tokens(&self, good: &str) -> BTreeMap<&'static str, String> {
        let ours = self.system.signing_key();
        let foreign = SigningKey::parse(&SigningKey::generate(SigningAlgorithm::EdDsa)).unwrap();
        BTreeMap::from([
            ("no token", "a.b.c".to_owned()),
            ("foreign key", changed(&foreign, good, |_| {})),
            ("audience", changed(&ours, good, |claims| claims.aud = "other".into())),
            ("issuer", changed(&ours, good, |claims| claims.iss = "other".into())),
            ("expired", changed(&ours, good, |claims| claims.exp = claims.iat - 120)),
        ])
    }

    /// A token as if auth_service's clock had been ahead: whether it is good cannot be known yet.
    fn early_token(&self, good: &str) -> String {
        changed(&self.system.signing_key(), good, |claims| {
            claims.nbf += 600;
            claims.iat += 600;
            claims.exp += 600;
        })
    }
}

/// The status that a client sees, and `Retry-After`, if the application was not reached.
fn refusal(answer: &Answer) -> (u16, Option<&str>) {
    assert!(reached_nobody(answer), "{answer:?}");
    (answer.status, answer.header("retry-after"))
}

fn assert_refused(answer: &Answer, what: &str) {
    assert_eq!(refusal(answer), (401, None), "{what}: {answer:?}");
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"), "{what}: {answer:?}");
}

#[test]
fn the_page_shows_the_files_of_traefik_and_envoy() {
    for (language, path) in [
        ("yaml traefik", "examples/traefik/traefik.yaml"),
        ("yaml site", "examples/traefik/site.yaml"),
        ("yaml envoy", "examples/envoy/envoy.yaml"),
    ] {
        let file = std::fs::read_to_string(repository(path)).unwrap();
        assert_eq!(block(PROXIES, language, &[]), file, "{path}");
    }
}

#[actix_web::test]
async fn traefik_lets_through_what_carries_a_live_token_and_nothing_else() {
    let site = Site::start().await;
    let proxy = Proxy::traefik(site.system.client.auth, site.application).await;
    only_live_tokens_pass(site, proxy, (500, None)).await;
}

#[actix_web::test]
async fn envoy_lets_through_what_carries_a_live_token_and_nothing_else() {
    let site = Site::start().await;
    let proxy = Proxy::envoy(site.system.client.auth, site.application, str::to_owned).await;
    only_live_tokens_pass(site, proxy, (503, Some("1"))).await;
}

/// `stopped` is what a client sees while auth_service does not run.
async fn only_live_tokens_pass(mut site: Site, proxy: Proxy, stopped: (u16, Option<&str>)) {
    let token = site.token().await;
    the_application_gets_the_user_and_the_body(&proxy, &token, site.id);

    assert_refused(&proxy.send("GET", "/me", &FORGED_HEADERS, None), "no header");
    for (what, token) in site.bad_tokens(&token) {
        assert_refused(&proxy.get_as("/me", &token), what);
    }
    let bearer = format!("Bearer {token}");
    let twice = [("Authorization", &*bearer), ("Authorization", "Bearer x")];
    assert_refused(&proxy.send("GET", "/me", &twice, None), "two headers");

    let unknown = proxy.get_as("/me", &site.early_token(&token));
    assert_eq!(refusal(&unknown), (503, Some("1")), "{unknown:?}");
    site.log_out(&token).await;
    assert_refused(&proxy.get_as("/me", &token), "logged out");

    let live = site.token().await;
    assert_eq!(proxy.get_as("/me", &live).status, 200);
    site.system.stop();
    assert_eq!(refusal(&proxy.get_as("/me", &live)), stopped);
    proxy.stop();
}

fn the_application_gets_the_user_and_the_body(proxy: &Proxy, token: &str, id: i64) {
    let bearer = format!("Bearer {token}");
    let headers = [&[("Authorization", &*bearer)], &FORGED_HEADERS[..]].concat();
    let body = json!({"text": "x".repeat(100_000)});
    for (method, body) in [("GET", None), ("POST", Some(&body)), ("PUT", Some(&body))] {
        let answer = proxy.send(method, "/me?a=b", &headers, body);
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(all_seen(&answer, "x-user-id"), [id.to_string()], "{method}");
        assert_eq!(all_seen(&answer, "x-username"), ["Zo%C3%AB"], "{method}");
        assert!(all_seen(&answer, "authorization").is_empty(), "{method}");
        assert!(!answer.body.to_string().contains("forged"), "{method}: {answer:?}");
        let sent = body.map(ToString::to_string).unwrap_or_default();
        assert!(answer.body["content"] == sent, "{method}: the body is another");
    }
}

#[actix_web::test]
async fn envoy_with_the_keys_alone_sees_no_logout_and_with_both_filters_it_does() {
    let mut site = Site::start().await;
    let auth = site.system.client.auth;
    let keys_alone = Proxy::envoy(auth, site.application, str::to_owned).await;
    let both = Proxy::envoy(auth, site.application, without_the_route_of_reports).await;
    let (token, live) = (site.token().await, site.token().await);

    for proxy in [&keys_alone, &both] {
        for (what, token) in site.bad_tokens(&token) {
            let status = if what == "audience" { 403 } else { 401 };
            assert_eq!(refusal(&proxy.get_as(REPORT, &token)), (status, None), "{what}");
        }
        let in_the_url = format!("{REPORT}?access_token={token}");
        assert_refused(&proxy.send("GET", &in_the_url, &[], None), "in the URL");
    }
    let bearer = format!("Bearer {token}");
    let headers = [&[("Authorization", &*bearer)], &FORGED_HEADERS[..]].concat();
    let answer = keys_alone.send("GET", REPORT, &headers, None);
    assert_eq!(all_seen(&answer, "x-user-id"), [site.id.to_string()]);
    assert!(all_seen(&answer, "x-username").is_empty(), "{answer:?}");
    assert!(all_seen(&answer, "authorization").is_empty(), "{answer:?}");
    assert!(!answer.body.to_string().contains("forged"), "{answer:?}");
    let answer = both.send("GET", REPORT, &headers, None);
    assert_eq!(all_seen(&answer, "x-username"), ["Zo%C3%AB"]);

    site.log_out(&token).await;
    assert_eq!(keys_alone.get_as(REPORT, &token).status, 200);
    assert_refused(&both.get_as(REPORT, &token), "logged out");
    assert_eq!(both.get_as(REPORT, &live).status, 200);
    for path in ["/reports/../me", "/reports/%2e%2e/me", "//reports/..//me"] {
        assert_refused(&keys_alone.get_as(path, &token), path);
    }
    for path in ["/reports/..%2fme", "/reports/..%5Cme"] {
        assert_eq!(refusal(&keys_alone.get_as(path, &token)), (400, None), "{path}");
    }

    site.system.stop();
    assert_eq!(keys_alone.get_as(REPORT, &live).status, 200, "it has the keys");
    let without_keys = Proxy::envoy(auth, site.application, str::to_owned).await;
    assert_refused(&without_keys.get_as(REPORT, &live), "no keys");
    for proxy in [keys_alone, both, without_keys] {
        proxy.stop();
    }
}

/// Then /reports/ has the route of everything else, and jwt_authn applies to it as before.
fn without_the_route_of_reports(file: &str) -> String {
    let route = file.find("prefix: /reports/").unwrap();
    assert!(file[..route].contains("routes:") && file[route..].contains("rules:"));
    file.replacen("prefix: /reports/", "prefix: /none/", 1)
}
