//! The projection decides which tokens are alive: neither a clock, a setting nor a restore revives one,
//! and nobody's new token is dead at birth.

use std::path::Path;
use std::sync::Arc;

use contract::Position;
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use shared::clock::Clock;
use testkit::wait::until;

use crate::test_app::{BOUND, TestApp};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

async fn app_with(settings: &[&str], names: &[&str]) -> TestApp {
    let app = TestApp::start_with(settings, Clock::manual(1_800_000_000_000)).await;
    for name in names {
        app.users.create(name, "testpassword");
        app.bring().await;
    }
    app
}

async fn token_of(app: &TestApp, name: &str) -> String {
    app.login(name, "testpassword").await.token()
}

async fn expect_dead(app: &TestApp, tokens: &[&String]) {
    for (n, token) in tokens.iter().enumerate() {
        assert_eq!(app.verify(token).await.status, 401, "token {n}");
        assert_eq!(app.logout(token).await.status, 401, "token {n}");
    }
}

/// Waits until every ended session has been forgotten.
async fn until_forgotten(app: &TestApp) {
    until("ended sessions are forgotten", BOUND, async || {
        (app.metric("lockstep_revoked_sessions").await == 0).then_some(())
    })
    .await;
}

async fn restart_with(app: TestApp, settings: &[&str]) -> TestApp {
    let reached = Arc::new(app.bus.clone());
    app.restart_with(settings, reached, |_| {}).await
}

#[actix_web::test]
async fn a_lifetime_that_is_shortened_revives_nothing() {
    let app = app_with(&["--token-lifetime", "12h"], &["changed", "deleted", "out"]).await;
    let [changed, deleted, out] = ["changed", "deleted", "out"].map(|name| token_of(&app, name));
    let (changed, deleted, out) = (changed.await, deleted.await, out.await);
    assert_eq!(app.logout(&out).await.status, 200);
    app.users.change_password(1, "otherpassword");
    app.bring().await;
    app.users.delete(2);
    app.bring().await;
    let all = [&changed, &deleted, &out];
    expect_dead(&app, &all).await;
    let app = restart_with(app, &["--token-lifetime", "5m"]).await;
    expect_dead(&app, &all).await;
    app.clock.advance_ms(15 * MINUTE_MS);
    expect_dead(&app, &all).await;
    assert_eq!(
        app.metric("lockstep_revoked_sessions").await,
        1,
        "of a token that lives for 12 hours"
    );
    app.clock.advance_ms(12 * HOUR_MS);
    until_forgotten(&app).await;
    expect_dead(&app, &all).await;
    // The tokens would have hours to live by this clock.
    app.clock.set_by_ms(-12 * HOUR_MS);
    expect_dead(&app, &all).await;
    let app = restart_with(app, &["--token-lifetime", "12h"]).await;
    expect_dead(&app, &all).await;
    let token = token_of(&app, "out").await;
    assert!(app.is_alive(&token).await);
    app.stop().await;
}

#[actix_web::test]
async fn a_clock_that_is_an_hour_ahead_for_a_minute_revives_nothing() {
    let app = app_with(&[], &["out", "ahead"]).await;
    let out = token_of(&app, "out").await;
    assert_eq!(app.logout(&out).await.status, 200);
    app.clock.set_by_ms(HOUR_MS);
    let ahead = token_of(&app, "ahead").await;
    assert_eq!(app.logout(&ahead).await.status, 200);
    app.clock.advance_ms(MINUTE_MS);
    expect_dead(&app, &[&out, &ahead]).await;
    app.clock.set_by_ms(-HOUR_MS);
    expect_dead(&app, &[&out, &ahead]).await;
    let app = restart_with(app, &[]).await;
    expect_dead(&app, &[&out, &ahead]).await;
    app.clock.advance_ms(16 * MINUTE_MS);
    until_forgotten(&app).await;
    // By the wall clock the second one has most of an hour to live.
    expect_dead(&app, &[&out, &ahead]).await;
    let app = restart_with(app, &[]).await;
    expect_dead(&app, &[&out, &ahead]).await;
    let after = token_of(&app, "out").await;
    assert!(app.is_alive(&after).await, "nobody is dead at birth");
    app.stop().await;
}

#[actix_web::test]
async fn a_clock_that_is_two_hours_behind_while_a_user_is_deleted_revives_nothing() {
    let app = app_with(&[], &["deleted", "changed"]).await;
    let (deleted, changed) = (token_of(&app, "deleted").await, token_of(&app, "changed").await);
    app.clock.set_by_ms(-2 * HOUR_MS);
    app.users.delete(1);
    app.bring().await;
    app.users.change_password(2, "otherpassword");
    app.bring().await;
    app.clock.set_by_ms(2 * HOUR_MS);
    expect_dead(&app, &[&deleted, &changed]).await;
    let app = restart_with(app, &[]).await;
    expect_dead(&app, &[&deleted, &changed]).await;
    app.stop().await;
}

#[actix_web::test]
async fn a_token_lives_on_over_every_clock_and_every_restart_that_concerns_it_not() {
    let app = app_with(&[], &["testuser"]).await;
    let token = token_of(&app, "testuser").await;
    app.clock.set_by_ms(5 * MINUTE_MS);
    let ahead = token_of(&app, "testuser").await;
    app.clock.set_by_ms(-5 * MINUTE_MS);
    let back = token_of(&app, "testuser").await;
    app.clock.restart_machine();
    let app = restart_with(app, &[]).await;
    let restarted = token_of(&app, "testuser").await;
    for (token, what) in [(&token, "first"), (&back, "back"), (&restarted, "restarted")] {
        assert!(app.is_alive(token).await, "{what}");
    }
    // Its time has not come, and nobody who has it should throw it away.
    assert_eq!(app.verify(&ahead).await.problem(), "not-yet-known");
    let kids: std::collections::BTreeSet<_> =
        [&token, &ahead, &back, &restarted].map(|token| kid_of(token)).into();
    assert_eq!(kids.len(), 3, "a clock that is set back and a machine's start take new keys");
    app.clock.advance_ms(5 * MINUTE_MS);
    assert!(app.is_alive(&ahead).await);
    app.stop().await;
}

fn kid_of(token: &str) -> String {
    let header = BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// user_service goes back to its first record and goes on from there: the id is given once more.
async fn give_the_id_again(app: &TestApp) {
    app.users.restore(1);
    assert_eq!(app.users.create("new", "testpassword"), 2);
    app.users.publish_head().await;
    until("the new user can log in", BOUND, async || {
        (app.login("new", "testpassword").await.status == 200).then_some(())
    })
    .await;
}

async fn expect_new_alone(app: &TestApp, lost: &String) {
    expect_dead(app, &[lost]).await;
    let answer = app.verify(&token_of(app, "new").await).await;
    assert_eq!((answer.status, answer.header("x-user-id")), (200, Some("2")));
    assert_eq!(answer.header("x-username"), Some("new"));
}

#[actix_web::test]
async fn after_a_restore_of_the_users_a_lost_users_token_is_not_the_new_users() {
    let app = app_with(&[], &["anna", "lost"]).await;
    let (anna, lost) = (token_of(&app, "anna").await, token_of(&app, "lost").await);
    give_the_id_again(&app).await;
    expect_new_alone(&app, &lost).await;
    assert!(app.is_alive(&anna).await, "her password was set before the copy was made");
    app.stop().await;
}

#[actix_web::test]
async fn after_a_restore_of_both_databases_a_lost_users_token_is_not_the_new_users() {
    let app = app_with(&[], &["anna"]).await;
    let copy = |dir: &Path, from: &str, to: &str| {
        for name in ["projection.db", "tokens.db"] {
            let path = |suffix: &str| dir.join(format!("{name}{suffix}"));
            std::fs::copy(path(from), path(to)).unwrap();
        }
    };
    let app = app.restart_after(|dir| copy(dir, "", ".copy")).await;
    app.users.create("lost", "testpassword");
    app.bring().await;
    let lost = token_of(&app, "lost").await;
    let app = app.restart_after(|dir| copy(dir, ".copy", "")).await;
    give_the_id_again(&app).await;
    expect_new_alone(&app, &lost).await;
    app.stop().await;
}

#[actix_web::test]
async fn a_record_of_an_undone_history_that_comes_again_kills_nobodys_token_for_long() {
    let app = app_with(&[], &["anna", "lost"]).await;
    let replayed = app.users.event_message(2);
    give_the_id_again(&app).await;
    let token = token_of(&app, "new").await;
    app.users.publish_raw(replayed).await;
    app.users.create("later", "testpassword");
    app.bring().await;
    until("the token is alive", BOUND, async || app.is_alive(&token).await.then_some(())).await;
    app.stop().await;
}

#[actix_web::test]
async fn a_deletion_counts_before_the_records_before_it_have_come() {
    let app = app_with(&[], &["deleted"]).await;
    let token = token_of(&app, "deleted").await;
    app.users.set_answers(false);
    app.users.create("missing", "testpassword");
    app.users.delete(1);
    app.users.publish_last().await;
    until("the token is dead", BOUND, async || (!app.is_alive(&token).await).then_some(())).await;
    assert_eq!(app.login("deleted", "testpassword").await.status, 401);
    assert_eq!(app.metric("lockstep_projection_seq").await, 1, "nothing is applied");
    app.users.set_answers(true);
    app.until_applied().await;
    expect_dead(&app, &[&token]).await;
    app.stop().await;
}

#[actix_web::test]
async fn a_repeated_login_never_gets_a_dead_token() {
    let app = app_with(&[], &["testuser"]).await;
    let key = [("Idempotency-Key", "k1")];
    let login = async || app.login_with("testuser", "testpassword", &key).await.token();
    let first = login().await;
    assert_eq!(login().await, first);
    assert_eq!(app.logout(&first).await.status, 200);
    let second = login().await;
    assert!(second != first && app.is_alive(&second).await, "logged out");
    assert_eq!(login().await, second);
    app.clock.advance_ms(16 * MINUTE_MS);
    let third = login().await;
    assert!(third != second && app.is_alive(&third).await, "expired");
    app.clock.set_by_ms(-HOUR_MS);
    let fourth = login().await;
    assert!(fourth != third && app.is_alive(&fourth).await, "not good yet");
    app.users.change_password(1, "testpassword");
    app.bring().await;
    let fifth = login().await;
    assert!(fifth != fourth && app.is_alive(&fifth).await, "of another password");
    app.stop().await;
}

#[actix_web::test]
async fn a_token_names_its_session_and_the_record_that_set_the_password() {
    let app = app_with(&[], &["testuser"]).await;
    app.users.rename(1, "renamed");
    let stamp = app.users.event_message(1).headers["cloudEvents_id"].clone();
    app.bring().await;
    let token = token_of(&app, "renamed").await;
    let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    let named = Position::decode(&text("stamp")).unwrap();
    assert_eq!((named.seq, named.hash.to_string()), (1, stamp));
    assert_eq!(text("sid"), text("jti"), "the first token of its session");
    assert_eq!(claims["iat"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(), 5);
    assert_eq!(claims.get("pv"), None);
    app.stop().await;
}
