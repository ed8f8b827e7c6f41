//! A user_service that is newer than this follower.

use crate::test_app::TestApp;

/// What a later version has written is applied by the state that it leaves.
async fn assert_followed(app: &TestApp) {
    assert_eq!(app.checksum().await, app.users.checksum());
    assert_eq!(app.metric("lockstep_dead_letters_total").await, 0);
    assert_eq!(app.login("testuser", "testpassword").await.status, 200);
}

#[actix_web::test]
async fn a_kind_and_members_of_a_later_version_are_applied_live() {
    let app = TestApp::start().await;
    let id = app.users.create("testuser", "testpassword");
    app.users.lock(id);
    app.users.publish(1..=2).await;
    app.until_applied().await;
    assert_followed(&app).await;
    assert_eq!(app.metric("lockstep_projection_snapshots_total").await, 0);
    app.stop().await;
}

#[actix_web::test]
async fn a_kind_and_members_of_a_later_version_are_applied_from_an_answer() {
    let app = TestApp::start_empty().await;
    let id = app.users.create("testuser", "testpassword");
    app.users.lock(id);
    app.users.set_answers(true);
    app.until_applied().await;
    assert_followed(&app).await;
    assert_eq!(app.metric("lockstep_projection_snapshots_total").await, 0);
    app.stop().await;
}

#[actix_web::test]
async fn a_user_whom_a_later_version_has_changed_comes_in_with_a_snapshot() {
    let app = TestApp::start_empty().await;
    let id = app.users.create("testuser", "testpassword");
    app.users.lock(id);
    app.users.set_replay_limit(0);
    app.users.set_answers(true);
    app.until_applied().await;
    assert_followed(&app).await;
    assert_eq!(app.metric("lockstep_projection_snapshots_total").await, 1);
    app.stop().await;
}
