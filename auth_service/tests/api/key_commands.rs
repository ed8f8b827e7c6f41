//! The operator's commands to the running service: keys that rotate and are killed under load.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::admin::{AdminError, ask_service};

use crate::test_app::TestApp;

async fn app_with_testuser() -> TestApp {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    app
}

/// Gives a command; answers with the states of all keys by their names.
async fn command(app: &TestApp, command: Value) -> Result<BTreeMap<String, String>, AdminError> {
    let data_dir = app.dir.path().to_owned();
    let asking = actix_web::rt::task::spawn_blocking(move || {
        ask_service::<_, Vec<Value>>(&data_dir, "auth_service", &command)
    });
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let keys = asking.await.unwrap()?;
    Ok(keys.iter().map(|key| (text(&key["kid"]), text(&key["state"]))).collect())
}

async fn keys(app: &TestApp, named: &str) -> BTreeMap<String, String> {
    command(app, json!(named)).await.unwrap()
}

async fn kill(app: &TestApp, kid: &str) -> Result<BTreeMap<String, String>, AdminError> {
    command(app, json!({ "kill_key": { "kid": kid } })).await
}

fn kid_of(token: &str) -> String {
    let header = BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn signing(keys: &BTreeMap<String, String>) -> &str {
    keys.iter().find(|(_, state)| *state == "signing").unwrap().0
}

#[actix_web::test]
async fn ten_rotations_under_load_refuse_no_good_token() {
    let app = app_with_testuser().await;
    let (tokens, is_over) = (RefCell::new(Vec::new()), Cell::new(false));
    let log_in = async || {
        while !is_over.get() {
            let token = app.login("testuser", "testpassword").await.token();
            assert!(app.is_alive(&token).await, "of key {}", kid_of(&token));
            tokens.borrow_mut().push(token);
        }
    };
    let verify = async || {
        let mut n = 0;
        while !is_over.get() {
            let token = tokens.borrow().get(n).cloned();
            n = token.as_ref().map_or(0, |_| n + 1);
            match token {
                Some(token) => assert!(app.is_alive(&token).await, "token {n}"),
                None => tokio::task::yield_now().await,
            }
        }
    };
    let rotate = async {
        for n in 1..=10 {
            let before = keys(&app, "list_keys").await;
            let after = keys(&app, "rotate_keys").await;
            assert_ne!(signing(&before), signing(&after));
            assert_eq!(after[signing(&before)], "retired");
            assert_eq!(before[signing(&after)], "next", "it was listed before");
            assert_eq!(after.len(), n + 2);
            // Each key signs some.
            let logins = tokens.borrow().len();
            while tokens.borrow().len() < logins + 2 {
                tokio::task::yield_now().await;
            }
        }
        is_over.set(true);
    };
    tokio::join!(log_in(), log_in(), verify(), verify(), rotate);
    let tokens = tokens.into_inner();
    let kids: std::collections::BTreeSet<_> = tokens.iter().map(|token| kid_of(token)).collect();
    assert!(kids.len() >= 10, "{}", kids.len());
    for token in &tokens {
        assert!(app.is_alive(token).await);
    }
    let listed = app.get("/.well-known/jwks.json").await.json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 12);
    let private = std::fs::read_dir(app.dir.path()).unwrap();
    let private = private.filter(|file| {
        file.as_ref().unwrap().file_name().to_str().unwrap().starts_with("signing-")
    });
    assert_eq!(private.count(), 2, "old private keys are deleted");
    app.stop().await;
}

#[actix_web::test]
async fn a_killed_key_kills_its_tokens_in_every_cache_and_logins_go_on() {
    let app = app_with_testuser().await;
    let old = app.login("testuser", "testpassword").await.token();
    keys(&app, "rotate_keys").await;
    let token = app.login("testuser", "testpassword").await.token();
    let kid = kid_of(&token);
    // Both workers know it.
    assert!(join_all((0..50).map(|_| app.is_alive(&token))).await.iter().all(|alive| *alive));
    let after = kill(&app, &kid).await.unwrap();
    let answers = join_all((0..50).map(|_| app.verify(&token))).await;
    assert!(answers.iter().all(|answer| answer.status == 401), "the command was answered");
    assert!(!app.dir.path().join(format!("signing-{kid}.key")).exists());
    assert_eq!((after[&kid].as_str(), signing(&after) == kid), ("killed", false));
    assert!(app.is_alive(&old).await, "of another key");
    let next = app.login("testuser", "testpassword").await.token();
    assert!(app.is_alive(&next).await && kid_of(&next) != kid);
    assert_eq!(app.logout(&token).await.status, 401);
    let again = kill(&app, &kid).await.unwrap();
    assert_eq!(again[&kid], "killed");
    let app = app.restart_after(|_| {}).await;
    assert!(!app.is_alive(&token).await && app.is_alive(&next).await && app.is_alive(&old).await);
    assert_eq!(keys(&app, "list_keys").await[&kid], "killed", "for good");
    app.stop().await;
}

#[actix_web::test]
async fn a_key_that_is_not_there_is_not_killed() {
    let app = app_with_testuser().await;
    for kid in ["nonsense", &"A".repeat(43), "../tokens.db"] {
        let refused = kill(&app, kid).await.unwrap_err();
        assert!(matches!(&refused, AdminError::Refused(why) if why.contains(kid)), "{refused}");
    }
    assert_eq!(keys(&app, "list_keys").await.len(), 2);
    app.stop().await;
}

#[actix_web::test]
async fn a_backup_beside_the_service_is_told_and_changes_no_key() {
    let app = app_with_testuser().await;
    let before = keys(&app, "list_keys").await;
    for error in [Value::Null, json!("the disk is full")] {
        let ended = json!({ "backup_ended": { "path": "/backup/1", "error": error } });
        assert_eq!(command(&app, ended).await.unwrap(), BTreeMap::new());
    }
    assert_eq!(keys(&app, "list_keys").await, before);
}
