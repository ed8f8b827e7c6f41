use crate::test_app::{BOUND, TestApp};
use shared::testkit::wait::until;

#[actix_web::test]
async fn a_lost_event_is_asked_for_when_the_next_one_comes() {
    let app = TestApp::start().await;
    app.users.create("lost", "testpassword");
    app.users.create("seen", "testpassword");
    app.bring().await;
    assert_eq!(app.login("lost", "testpassword").await.status, 200);
    assert_eq!(app.login("seen", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_lost_tail_is_revealed_by_the_heads() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    // The first head only says that something may be on its way.
    app.users.publish_head().await;
    app.users.publish_head().await;
    app.until_applied().await;
    assert_eq!(app.login("testuser", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_new_incarnation_of_the_same_log_is_continued() {
    let app = TestApp::start().await;
    app.users.create("before", "testpassword");
    app.bring().await;
    app.users.restart();
    app.users.create("after", "testpassword");
    app.bring().await;
    assert_eq!(app.login("before", "testpassword").await.status, 200);
    assert_eq!(app.login("after", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_log_that_was_restored_from_an_older_copy_replaces_what_was_applied() {
    let app = TestApp::start().await;
    for name in ["kept", "forgotten", "other"] {
        app.users.create(name, "testpassword");
        app.bring().await;
    }
    let (kept, forgotten) = (
        app.login("kept", "testpassword").await.token(),
        app.login("forgotten", "testpassword").await.token(),
    );
    app.users.restore(1);
    app.users.create("different", "testpassword");
    app.bring().await;
    assert!(app.is_alive(&kept).await);
    assert!(!app.is_alive(&forgotten).await);
    assert_eq!(app.login("forgotten", "testpassword").await.status, 401);
    assert_eq!(app.login("different", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_snapshot_kills_the_tokens_of_passwords_that_changed_meanwhile() {
    let app = TestApp::start().await;
    for name in ["a", "b", "c"] {
        app.users.create(name, "testpassword");
        app.bring().await;
    }
    let (changed, same) = (
        app.login("a", "testpassword").await.token(),
        app.login("b", "testpassword").await.token(),
    );
    app.users.set_replay_limit(0);
    app.users.change_password(1, "otherpassword");
    app.users.publish_head().await;
    app.users.publish_head().await;
    app.until_applied().await;
    assert_eq!((app.is_alive(&changed).await, app.is_alive(&same).await), (false, true));
    assert_eq!(app.login("a", "otherpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_record_that_cannot_be_applied_leads_to_a_snapshot_and_holds_up_nothing() {
    let app = TestApp::start().await;
    app.users.create("before", "testpassword");
    app.users.write_nonsense();
    app.users.create("after", "testpassword");
    app.users.publish(1..=3).await;
    app.until_applied().await;
    until("both log in", BOUND, async || {
        let (before, after) =
            (app.login("before", "testpassword").await, app.login("after", "testpassword").await);
        (before.status == 200 && after.status == 200).then_some(())
    })
    .await;
    assert!(app.metric("dead_letters_total").await >= 1);
    app.stop().await;
}
