//! Versions that knew no security stamps: a user_service, and the projection that they left.

use rusqlite::Connection;
use testkit::wait::until;

use crate::test_app::{BOUND, TestApp};

#[actix_web::test]
async fn what_a_version_without_stamps_writes_is_applied_as_events_and_as_a_snapshot() {
    let app = TestApp::start().await;
    app.users.set_stamps(false);
    let id = app.users.create("testuser", "testpassword");
    app.bring().await;
    app.users.rename(id, "renamed");
    app.bring().await;
    assert_eq!(app.login("renamed", "testpassword").await.status, 200);
    app.users.set_replay_limit(0);
    app.users.change_password(id, "otherpassword");
    app.users.create("another", "testpassword");
    app.bring().await;
    assert_eq!(app.metric("lockstep_projection_snapshots_total").await, 1);
    assert_eq!(app.login("renamed", "otherpassword").await.status, 200);
    // It is upgraded.
    app.users.restart();
    app.users.set_stamps(true);
    app.users.change_password(id, "thirdpassword");
    app.bring().await;
    assert_eq!(app.login("renamed", "thirdpassword").await.status, 200);
    assert_eq!(app.login("renamed", "otherpassword").await.status, 401);
    assert_eq!(app.metric("lockstep_dead_letters_total").await, 0);
    app.stop().await;
}

#[actix_web::test]
async fn a_projection_without_stamps_gives_no_token_before_user_service_has_answered_once() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    app.users.set_answers(false);
    let app = app
        .restart_after(|dir| {
            // As the migration leaves it.
            let sql = "UPDATE credentials SET stamp = zeroblob(24);
                       UPDATE projection_cursor SET hash = 'ffffffffffffffffffffffffffffffff'";
            Connection::open(dir.join("projection.db")).unwrap().execute_batch(sql).unwrap();
        })
        .await;
    let answer = app.login("testuser", "testpassword").await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "not-yet-applied"));
    assert_eq!(app.login("testuser", "wrongpassword").await.status, 401);
    assert_eq!(app.get("/readyz").await.status, 503);
    app.users.set_answers(true);
    until("it is ready", BOUND, async || (app.get("/readyz").await.status == 200).then_some(()))
        .await;
    assert!(app.is_alive(&app.login("testuser", "testpassword").await.token()).await);
    assert_eq!(app.metric("lockstep_projection_snapshots_total").await, 1);
    app.stop().await;
}
