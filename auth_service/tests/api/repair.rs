use std::time::{Duration, Instant};

use rusqlite::Connection;
use testkit::wait::until;

use crate::test_app::{BOUND, TestApp};

/// Nothing but heads comes any more, until both hold the same users.
async fn until_agreed(app: &TestApp) {
    until("they agree", BOUND, async || {
        app.users.publish_head().await;
        (app.checksum().await == app.users.checksum()).then_some(())
    })
    .await;
}

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
async fn a_log_that_diverged_to_the_very_same_place_is_found_out_by_its_head() {
    let app = TestApp::start().await;
    for name in ["kept", "forgotten"] {
        app.users.create(name, "testpassword");
        app.bring().await;
    }
    app.users.restore(1);
    app.users.create("different", "testpassword");
    assert_eq!(app.metric("lockstep_projection_seq").await, app.users.seq());
    app.users.publish_head().await;
    until_agreed(&app).await;
    assert_eq!(app.login("forgotten", "testpassword").await.status, 401);
    assert_eq!(app.login("different", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_restart_of_user_service_in_the_middle_of_a_snapshot_costs_only_time() {
    let app = TestApp::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        app.users.create(name, "testpassword");
    }
    app.users.set_replay_limit(0);
    app.users.set_parts_sent(1);
    app.users.publish_last().await;
    until("a part is there", BOUND, async || {
        (app.metric("lockstep_projection_head_seq").await == 5).then_some(())
    })
    .await;
    app.users.restart();
    app.users.set_parts_sent(usize::MAX);
    let restarted_at = Instant::now();
    until_agreed(&app).await;
    assert!(restarted_at.elapsed() < Duration::from_secs(5), "{:?}", restarted_at.elapsed());
    app.stop().await;
}

#[actix_web::test]
async fn two_replicas_that_were_given_one_name_both_follow() {
    let app = TestApp::start().await;
    let other = TestApp::start_beside(&app).await;
    for name in ["a", "b", "c", "d", "e"] {
        app.users.create(name, "testpassword");
        // Only one of them gets it.
        app.users.publish_last().await;
    }
    until_agreed(&app).await;
    until_agreed(&other).await;
    other.stop().await;
    app.users.create("later", "testpassword");
    app.bring().await;
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
async fn a_projection_that_somebody_has_changed_is_found_out_and_replaced() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    assert_eq!(app.checksum().await, app.users.checksum());
    let app = app
        .restart_after(|dir| {
            let database = Connection::open(dir.join("projection.db")).unwrap();
            database
                .execute_batch(
                    "DELETE FROM credentials; UPDATE projection_cursor SET checksum = NULL",
                )
                .unwrap();
        })
        .await;
    assert_ne!(app.checksum().await, app.users.checksum());
    until("it is repaired", BOUND, async || {
        app.users.publish_head().await;
        (app.checksum().await == app.users.checksum()).then_some(())
    })
    .await;
    assert_eq!(app.metric("lockstep_users_checksum_mismatches_total").await, 1);
    assert_eq!(app.metric("lockstep_projection_snapshots_total").await, 1);
    assert_eq!(app.login("testuser", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_projection_that_differs_is_repaired_although_changes_keep_coming() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let app = app
        .restart_after(|dir| {
            let database = Connection::open(dir.join("projection.db")).unwrap();
            let spoil = "UPDATE credentials SET username = 'someone';
                         UPDATE projection_cursor SET checksum = NULL";
            database.execute_batch(spoil).unwrap();
        })
        .await;
    app.users.create("next", "testpassword");
    app.bring().await;
    // Long enough for many changes.
    app.users.set_answer_time(Duration::from_millis(300));
    until("it is noticed", BOUND, async || {
        app.users.publish_head().await;
        (app.metric("lockstep_users_checksum_mismatches_total").await == 1).then_some(())
    })
    .await;
    let mut number = 0;
    assert_eq!(app.metric("lockstep_projection_snapshots_total").await, 0);
    until("it is repaired", BOUND, async || {
        number += 1;
        app.users.create(&format!("user{number}"), "testpassword");
        app.users.publish_last().await;
        (app.metric("lockstep_projection_snapshots_total").await == 1).then_some(())
    })
    .await;
    app.users.set_answer_time(Duration::ZERO);
    until_agreed(&app).await;
    app.stop().await;
}

#[actix_web::test]
async fn an_answer_that_takes_longer_than_the_patience_comes_in_all_the_same() {
    let app = TestApp::start_empty().await;
    for name in ["a", "b", "c"] {
        app.users.create(name, "testpassword");
    }
    app.users.set_replay_limit(0);
    // The question is repeated before its answer is there, and so is each one after it.
    app.users.set_answer_time(Duration::from_millis(2_200));
    app.users.set_answers(true);
    until_agreed(&app).await;
    app.stop().await;
}

#[actix_web::test]
async fn until_the_first_sync_is_done_the_service_says_how_far_it_is() {
    let app = TestApp::start_empty().await;
    for name in ["a", "b", "c", "d", "e"] {
        app.users.create(name, "testpassword");
    }
    app.users.set_replay_limit(0);
    app.users.set_parts_sent(2);
    let reason = async || app.get("/readyz").await.json()["reasons"][0].as_str().map(str::to_owned);
    assert_eq!(reason().await.unwrap(), "catching up: no sync with user_service yet");
    app.users.set_answers(true);
    let expected = "catching up: part 2 of 3 of a snapshot is loaded";
    until("two parts are there", BOUND, async || {
        app.users.publish_head().await;
        (reason().await.as_deref() == Some(expected)).then_some(())
    })
    .await;
    app.users.set_parts_sent(usize::MAX);
    until("all parts are there", BOUND, async || {
        app.users.publish_head().await;
        reason().await.is_none().then_some(())
    })
    .await;
    assert_eq!(app.checksum().await, app.users.checksum());
    app.stop().await;
}

#[actix_web::test]
async fn the_lag_grows_while_no_head_comes_and_is_gone_with_the_next_one() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    app.users.set_answers(false);
    app.users.create("other", "testpassword");
    app.users.publish_head().await;
    until("the head is known", BOUND, async || {
        (app.metric("lockstep_projection_head_seq").await == 2).then_some(())
    })
    .await;
    // Longer than it takes to begin anew with other subscriptions.
    until("the lag grows", BOUND, async || (app.lag_seconds().await > 3.0).then_some(())).await;
    assert_eq!(
        (
            app.metric("lockstep_projection_lag_records").await,
            app.metric("lockstep_projection_seq").await
        ),
        (1, 1)
    );
    app.users.set_answers(true);
    until("the lag is gone", BOUND, async || {
        app.users.publish_head().await;
        (app.lag_seconds().await < 0.5).then_some(())
    })
    .await;
    app.stop().await;
}
