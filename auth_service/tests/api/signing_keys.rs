//! Which key signs, which keys are listed, and what becomes of tokens when `tokens.db` or a key is
//! lost, put back or of an earlier version.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use rusqlite::Connection;
use serde_json::Value;
use shared::clock::Clock;
use testkit::wait::until;

use crate::test_app::{BOUND, TestApp};

const MINUTE_MS: i64 = 60_000;

async fn app_with(settings: &[&str]) -> TestApp {
    let app = TestApp::start_with(settings, Clock::manual(1_800_000_000_000)).await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    app
}

async fn token_of(app: &TestApp) -> String {
    app.login("testuser", "testpassword").await.token()
}

fn header_of(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(header.as_bytes()).unwrap()).unwrap()
}

fn kid_of(token: &str) -> String {
    header_of(token)["kid"].as_str().unwrap().to_owned()
}

async fn listed(app: &TestApp) -> Vec<Value> {
    app.get("/.well-known/jwks.json").await.json()["keys"].as_array().unwrap().clone()
}

async fn listed_kids(app: &TestApp) -> BTreeSet<String> {
    listed(app).await.iter().map(|jwk| jwk["kid"].as_str().unwrap().to_owned()).collect()
}

/// The kids of the private keys on the disk.
fn private_keys(app: &TestApp) -> BTreeSet<String> {
    let files = std::fs::read_dir(app.dir.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let kids = names.filter_map(|name| {
        name.strip_prefix("signing-")?.strip_suffix(".key").map(ToOwned::to_owned)
    });
    kids.collect()
}

async fn restart_with(app: TestApp, settings: &[&str]) -> TestApp {
    let reached = Arc::new(app.bus.clone());
    app.restart_with(settings, reached, |_| {}).await
}

/// Copies the files whose names begin so, over those that are there.
fn copy(dir: &Path, prefixes: &[&str], from: &str, to: &str) {
    let [from, to] = [from, to].map(|name| dir.join(name));
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(&from).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            std::fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

#[actix_web::test]
async fn a_key_is_listed_before_it_signs_and_as_long_as_its_tokens_live() {
    let app = app_with(&["--key-rotation", "1h"]).await;
    let first = token_of(&app).await;
    let early = listed_kids(&app).await;
    assert_eq!((early.len(), private_keys(&app)), (2, early.clone()));
    app.clock.advance_ms(61 * MINUTE_MS);
    let rotated = until("the next key signs", BOUND, async || {
        let token = token_of(&app).await;
        (kid_of(&token) != kid_of(&first)).then_some(token)
    })
    .await;
    assert!(early.contains(&kid_of(&rotated)), "every verifier has had time to fetch it");
    until("a third key is ready", BOUND, async || {
        (listed_kids(&app).await.len() == 3).then_some(())
    })
    .await;
    let private = until("the first private key is deleted", BOUND, async || {
        let private = private_keys(&app);
        (private.len() == 2).then_some(private)
    })
    .await;
    assert!(!private.contains(&kid_of(&first)) && private.contains(&kid_of(&rotated)));
    app.stop().await;
}

#[actix_web::test]
async fn a_longer_lifetime_takes_a_new_key_and_the_tokens_of_the_old_one_live_on() {
    let app = app_with(&[]).await;
    let short = token_of(&app).await;
    let app = restart_with(app, &["--token-lifetime", "2h"]).await;
    let long = token_of(&app).await;
    assert_ne!(kid_of(&short), kid_of(&long));
    app.clock.advance_ms(14 * MINUTE_MS);
    assert!(app.is_alive(&short).await && app.is_alive(&long).await);
    app.clock.advance_ms(60 * MINUTE_MS);
    assert!(!app.is_alive(&short).await && app.is_alive(&long).await);
    app.stop().await;
}

#[actix_web::test]
async fn tokens_are_signed_as_the_setting_says_and_those_of_before_live_on() {
    let app = app_with(&[]).await;
    let eddsa = token_of(&app).await;
    let app = restart_with(app, &["--token-alg", "ES256"]).await;
    let es256 = token_of(&app).await;
    assert_eq!(
        (&header_of(&eddsa)["alg"], &header_of(&es256)["alg"]),
        (&"EdDSA".into(), &"ES256".into())
    );
    for token in [&eddsa, &es256] {
        assert!(app.is_alive(token).await);
        let jwk = listed(&app).await.into_iter().find(|jwk| jwk["kid"] == kid_of(token)).unwrap();
        assert_eq!(jwk["alg"], header_of(token)["alg"], "libraries compare the texts");
    }
    assert_eq!(app.logout(&es256).await.status, 200);
    assert!(app.is_alive(&eddsa).await && !app.is_alive(&es256).await);
    app.stop().await;
}

#[actix_web::test]
async fn a_login_that_is_repeated_after_a_shorter_lifetime_was_set_gets_a_token_of_today() {
    let app = app_with(&["--token-lifetime", "12h"]).await;
    let key = [("Idempotency-Key", "k1")];
    let login =
        async |app: &TestApp| app.login_with("testuser", "testpassword", &key).await.token();
    let first = login(&app).await;
    let app = restart_with(app, &["--token-lifetime", "5m", "--token-alg", "ES256"]).await;
    let second = login(&app).await;
    assert!(app.is_alive(&second).await, "dead at birth: its key's tokens live for five minutes");
    assert!(app.is_alive(&first).await);
    app.stop().await;
}

#[actix_web::test]
async fn while_a_key_warms_up_nobody_logs_in_and_readyz_says_why() {
    let app = app_with(&[]).await;
    let app = app.restart_after(|dir| std::fs::remove_file(dir.join("tokens.db")).unwrap()).await;
    let app = {
        let reached = Arc::new(app.bus.clone());
        let lose = |dir: &Path| std::fs::remove_file(dir.join("tokens.db")).unwrap();
        app.restart_with(&["--key-warmup", "20m"], reached, lose).await
    };
    let answer = app.login("testuser", "testpassword").await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "overloaded"));
    let ready = app.get("/readyz").await;
    assert!(ready.status == 503 && ready.json()["reasons"].to_string().contains("no key is ready"));
    assert_eq!(listed(&app).await.len(), 1);
    app.clock.advance_ms(20 * MINUTE_MS);
    assert!(app.is_alive(&token_of(&app).await).await);
    app.stop().await;
}

#[actix_web::test]
async fn a_key_whose_private_half_is_lost_signs_no_more_and_its_tokens_live_on() {
    let app = app_with(&[]).await;
    let token = token_of(&app).await;
    let kid = kid_of(&token);
    let lose = |dir: &Path| std::fs::remove_file(dir.join(format!("signing-{kid}.key"))).unwrap();
    let app = app.restart_after(lose).await;
    assert_ne!(kid_of(&token_of(&app).await), kid);
    assert!(app.is_alive(&token).await);
    app.stop().await;
}

/// Everything that this service keeps of tokens.
const ALL: &[&str] = &["tokens.db", "tokens.mark", "signing-", "projection.db"];

#[actix_web::test]
async fn a_token_set_that_was_put_back_revives_nothing_and_trusts_no_key_that_it_names() {
    for (prefixes, what) in
        [(&["tokens.db"][..], "the database"), (&["tokens."], "with its mark"), (ALL, "all")]
    {
        let app = app_with(&[]).await;
        let (out, stays) = (token_of(&app).await, token_of(&app).await);
        let key = [("Idempotency-Key", "k1")];
        let repeated = app.login_with("testuser", "testpassword", &key).await.token();
        let app = app.restart_after(|dir| copy(dir, prefixes, ".", "copy")).await;
        for token in [&out, &repeated] {
            assert_eq!(app.logout(token).await.status, 200);
        }
        let app = app.restart_after(|dir| copy(dir, prefixes, "copy", ".")).await;
        for token in [&out, &stays, &repeated] {
            assert_eq!(app.verify(token).await.status, 401, "{what}");
        }
        let after = app.login_with("testuser", "testpassword", &key).await.token();
        assert!(kid_of(&after) != kid_of(&out) && app.is_alive(&after).await, "{what}");
        assert!(!listed_kids(&app).await.contains(&kid_of(&out)), "{what}");
        assert!(!private_keys(&app).contains(&kid_of(&out)), "{what}");
        // From now on it is kept like any other.
        let app = app.restart_after(|_| {}).await;
        assert!(app.is_alive(&after).await && !app.is_alive(&out).await, "{what}");
        app.stop().await;
    }
}

#[actix_web::test]
async fn a_token_set_that_became_another_file_was_put_back() {
    let app = app_with(&[]).await;
    let token = token_of(&app).await;
    let app = app
        .restart_after(|dir| {
            std::fs::copy(dir.join("tokens.db"), dir.join("copy.db")).unwrap();
            std::fs::rename(dir.join("copy.db"), dir.join("tokens.db")).unwrap();
        })
        .await;
    assert_eq!(app.verify(&token).await.status, 401);
    assert!(app.is_alive(&token_of(&app).await).await);
    app.stop().await;
}

/// `tokens.db` as the last version before the token set left it.
fn write_earlier_version(dir: &Path, sid: &str) {
    for name in ["tokens.db", "tokens.mark"] {
        std::fs::remove_file(dir.join(name)).unwrap();
    }
    let database = Connection::open(dir.join("tokens.db")).unwrap();
    for sql in [
        include_str!("../../migrations/tokens/0001_revocations.sql"),
        shared::sqlite::idempotency::SCHEMA,
        include_str!("../../migrations/tokens/0002_sessions.sql"),
    ] {
        database.execute_batch(sql).unwrap();
    }
    database.pragma_update(None, "user_version", 3).unwrap();
    let revoked = "INSERT INTO revoked_sessions VALUES (?1, 9999999999, 900)";
    database.execute(revoked, [sid]).unwrap();
    database.execute("UPDATE generation SET id = '0123456789abcdef'", []).unwrap();
}

#[actix_web::test]
async fn the_data_of_the_version_before_start_and_its_tokens_are_dead_whether_logged_out_or_not() {
    let app = app_with(&[]).await;
    let (out, alive) = (token_of(&app).await, token_of(&app).await);
    let kid = kid_of(&out);
    let payload = BASE64URL_NOPAD.decode(out.split('.').nth(1).unwrap().as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    let app = app
        .restart_after(|dir| {
            write_earlier_version(dir, claims["sid"].as_str().unwrap());
            let key = dir.join(format!("signing-{kid}.key"));
            std::fs::rename(key, dir.join("signing-0123456789abcdef.key")).unwrap();
        })
        .await;
    for _ in 0..2 {
        for token in [&out, &alive] {
            assert_eq!(app.verify(token).await.status, 401);
        }
    }
    assert!(!private_keys(&app).contains("0123456789abcdef"));
    let token = token_of(&app).await;
    let app = app.restart_after(|_| {}).await;
    assert!(app.is_alive(&token).await);
    app.stop().await;
}
