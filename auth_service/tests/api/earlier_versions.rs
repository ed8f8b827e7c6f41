//! A user_service that is older than this follower: it knows no security stamps.

use crate::test_app::TestApp;

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
    assert_eq!(app.metric("projection_snapshots_total").await, 1);
    assert_eq!(app.login("renamed", "otherpassword").await.status, 200);
    // It is upgraded.
    app.users.restart();
    app.users.set_stamps(true);
    app.users.change_password(id, "thirdpassword");
    app.bring().await;
    assert_eq!(app.login("renamed", "thirdpassword").await.status, 200);
    assert_eq!(app.login("renamed", "otherpassword").await.status, 401);
    assert_eq!(app.metric("dead_letters_total").await, 0);
    app.stop().await;
}
