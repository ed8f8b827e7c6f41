//! The work of a refused login, which must not tell whether somebody has the name.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::Connection;
use testkit::wait::until;

use crate::test_app::{BOUND, TestApp};

/// Blocks of a hash with today's parameters, and of one with those before.
const TODAY: i64 = 64;
const OUTDATED: i64 = 128;

/// `old0` to `old7`, whose hashes have the former parameters, and `new0` to `new7`.
async fn app_with_two_costs() -> TestApp {
    let app = TestApp::start().await;
    for n in 0..8 {
        app.users.create_outdated(&format!("old{n}"), "testpassword");
        app.users.create(&format!("new{n}"), "testpassword");
    }
    app.users.publish(1..=app.users.seq()).await;
    app.until_applied().await;
    app
}

/// How many blocks hashing fills for a login that is refused.
async fn work_of(app: &TestApp, username: &str, password: &str) -> i64 {
    let before = filled_blocks(app).await;
    assert_eq!(app.login(username, password).await.status, 401, "{username}");
    filled_blocks(app).await - before
}

/// How many blocks hashing has filled for all passwords that have been answered.
async fn filled_blocks(app: &TestApp) -> i64 {
    // An answer leaves before its hash is counted, but after its wait is.
    until("all hashes are counted", BOUND, async || {
        let begun = app.metric("lockstep_hash_wait_seconds_count").await;
        (app.metric("lockstep_hash_seconds_count").await == begun).then_some(())
    })
    .await;
    app.metric("lockstep_hash_blocks_total").await
}

async fn work_of_unknown_names(app: &TestApp) -> Vec<i64> {
    let mut work = Vec::new();
    for n in 0..30 {
        work.push(work_of(app, &format!("nobody{n}"), "testpassword").await);
    }
    work
}

#[actix_web::test]
async fn an_unknown_name_is_always_the_same_work_whoever_logs_in_meanwhile() {
    let app = app_with_two_costs().await;
    let first = work_of_unknown_names(&app).await;
    let costs: BTreeSet<i64> = first.iter().copied().collect();
    assert_eq!(costs, BTreeSet::from([TODAY, OUTDATED]), "those of the stored hashes");
    for n in 0..64 {
        app.login(&format!("new{}", n % 8), "testpassword").await.token();
    }
    assert_eq!(work_of_unknown_names(&app).await, first);
    for n in 0..64 {
        work_of(&app, &format!("old{}", n % 8), "wrongpassword").await;
    }
    assert_eq!(work_of_unknown_names(&app).await, first);
    let bus = Arc::new(app.bus.clone());
    let app = app.restart_on(bus, |_| {}).await;
    assert_eq!(work_of_unknown_names(&app).await, first, "after a restart");
    app.stop().await;
}

#[actix_web::test]
async fn how_a_name_is_spelled_and_what_is_wrong_with_a_password_changes_no_work() {
    let app = app_with_two_costs().await;
    let long = "x".repeat(2_000);
    for name in ["old1", "new1", "zoe\u{308}1", "zoe\u{308}2", "zoe\u{308}3", "zoe\u{308}4"] {
        let expected = work_of(&app, name, "wrongpassword").await;
        for (name, password) in [
            (name.to_uppercase().as_str(), "wrongpassword"),
            (&name.replace("e\u{308}", "\u{eb}"), "wrongpassword"),
            (name, ""),
            (name, "\u{7}bell"),
            (name, &long),
        ] {
            assert_eq!(work_of(&app, name, password).await, expected, "{name} {password:?}");
        }
    }
    assert_eq!(work_of(&app, "old1", "wrongpassword").await, OUTDATED);
    assert_eq!(work_of(&app, "new1", "wrongpassword").await, TODAY);
    app.stop().await;
}

#[actix_web::test]
async fn who_has_no_hash_that_can_be_opened_is_the_work_of_the_stand_in() {
    let app = app_with_two_costs().await;
    let spoiled = 9;
    let app = app
        .restart_after(|dir| {
            let database = Connection::open(dir.join("projection.db")).unwrap();
            let spoil = "UPDATE credentials SET username_key = 'nobody' || user_id,
                                                sealed_hash = 'v2.0123abcd.x'
                         WHERE user_id <= 9";
            database.execute_batch(spoil).unwrap();
        })
        .await;
    let mut known = Vec::new();
    for n in 1..=spoiled {
        known.push(work_of(&app, &format!("nobody{n}"), "testpassword").await);
    }
    let app = app
        .restart_after(|dir| {
            let database = Connection::open(dir.join("projection.db")).unwrap();
            let rename = "UPDATE credentials SET username_key = 'gone' || user_id
                          WHERE user_id <= 9";
            database.execute_batch(rename).unwrap();
        })
        .await;
    for n in 1..=spoiled {
        let unknown = work_of(&app, &format!("nobody{n}"), "testpassword").await;
        assert_eq!(unknown, known[n - 1], "nobody{n}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn while_there_are_no_users_every_name_is_the_work_of_a_new_hash() {
    let app = TestApp::start().await;
    for name in ["nobody", "", "a b"] {
        assert_eq!(work_of(&app, name, "testpassword").await, TODAY, "{name:?}");
    }
    app.stop().await;
}
