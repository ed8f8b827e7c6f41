use contract::topology::REHASH_QUEUE;
use contract::{PasswordRehashed, Position, RecordHash};
use futures_util::StreamExt;
use shared::bus::{Bus, QueueLifetime, QueueSpec};
use shared::clock::Clock;
use testkit::wait::{until, within};

use crate::test_app::{BOUND, TestApp};

#[actix_web::test]
async fn a_created_user_logs_in_and_gets_a_token_that_says_who_it_is() {
    let app = TestApp::start().await;
    app.users.create("Testuser", "testpassword");
    app.bring().await;
    let answer = app.login("tESTUSER", "testpassword").await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.json().as_object().unwrap().len(), 1);
    let verified = app.verify(&answer.token()).await;
    assert_eq!((verified.status, verified.body.len()), (200, 0));
    assert_eq!(verified.header("x-user-id"), Some("1"));
    assert_eq!(verified.header("x-username"), Some("Testuser"));
    app.stop().await;
}

#[actix_web::test]
async fn whatever_is_wrong_with_a_login_the_answer_is_the_same() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let wrong = app.login("testuser", "wrongpassword").await;
    assert_eq!((wrong.status, wrong.problem().as_str()), (401, "wrong-credentials"));
    assert_eq!(wrong.header("www-authenticate"), Some(r#"Bearer realm="lockstep""#));
    let long = "x".repeat(200);
    for (username, password) in [
        ("unknown", "testpassword"),
        ("", "testpassword"),
        ("a b", "testpassword"),
        (&long, "testpassword"),
        ("testuser", ""),
        ("testuser", "\u{7}bell"),
        ("testuser", "testpassword "),
        ("testuser", "TESTPASSWORD"),
    ] {
        let answer = app.login(username, password).await;
        assert_eq!((answer.status, &answer.body), (401, &wrong.body), "{username:?} {password:?}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn names_are_compared_as_rfc_8265_has_it() {
    let app = TestApp::start().await;
    app.users.create("Zoë", "pässwörd!");
    app.bring().await;
    for name in ["Zoë", "zoë", "ZOË", "Zoe\u{308}", "Ｚｏë"] {
        let token = app.login(name, "pässwörd!").await.token();
        assert_eq!(app.verify(&token).await.header("x-username"), Some("Zo%C3%AB"), "{name}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_login_waits_for_the_write_that_its_consistency_token_names() {
    let app = TestApp::start_with(&["--login-wait", "20s"], Clock::system()).await;
    app.users.create("testuser", "testpassword");
    let after = app.users.position().encode();
    let headers = [("Consistency-Token", after.as_str())];
    let late = async {
        // The login without it is answered by now, and in vain.
        assert_eq!(app.login("testuser", "testpassword").await.status, 401);
        app.users.publish_last().await;
    };
    let login = app.login_with("testuser", "testpassword", &headers);
    let (answer, ()) = futures_util::future::join(login, late).await;
    assert_eq!(answer.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_login_does_not_wait_longer_than_the_setting_says() {
    let app = TestApp::start_with(&["--login-wait", "50ms"], Clock::system()).await;
    let after = Position { seq: 7, hash: RecordHash([1; 16]) }.encode();
    let headers = [("Consistency-Token", after.as_str())];
    let answer = app.login_with("testuser", "testpassword", &headers).await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "not-yet-applied"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    app.stop().await;
}

#[actix_web::test]
async fn a_write_of_a_history_that_a_restore_has_undone_is_never_taken_for_applied() {
    let app = TestApp::start_with(&["--login-wait", "50ms"], Clock::system()).await;
    app.users.create("testuser", "testpassword");
    app.users.create("lost", "testpassword");
    let lost = app.users.position().encode();
    app.users.restore(1);
    app.users.create("another", "testpassword");
    let another = app.users.position().encode();
    app.users.publish_head().await;
    app.until_applied().await;
    let login = async |token: &str| {
        let headers = [("Consistency-Token", token)];
        app.login_with("testuser", "testpassword", &headers).await.status
    };
    assert_eq!((login(&another).await, login(&lost).await), (200, 503));
    app.stop().await;
}

#[actix_web::test]
async fn a_token_of_the_former_form_is_malformed() {
    let app = TestApp::start().await;
    // What commit 2574c51 gave for record 42: a number alone.
    let headers = [("Consistency-Token", "AAAAAAAAACo")];
    let answer = app.login_with("testuser", "testpassword", &headers).await;
    assert_eq!(answer.status, 400);
    app.stop().await;
}

#[actix_web::test]
async fn a_change_that_arrives_while_the_password_is_compared_counts() {
    let app = TestApp::start().await;
    let id = app.users.create_slow("testuser", "testpassword");
    app.bring().await;
    let meanwhile = async {
        until("the comparison has begun", BOUND, async || {
            (app.metric("lockstep_hash_wait_seconds_count").await == 1).then_some(())
        })
        .await;
        app.users.change_password(id, "otherpassword");
        app.bring().await;
    };
    let login = app.login("testuser", "otherpassword");
    let (answer, ()) = futures_util::future::join(login, meanwhile).await;
    assert!(app.is_alive(&answer.token()).await);
    app.stop().await;
}

#[actix_web::test]
async fn a_hash_of_other_parameters_is_made_anew_and_sent_back() {
    let app = TestApp::start().await;
    let id = app.users.create_outdated("testuser", "testpassword");
    assert_renewed(&app, id).await;
    app.stop().await;
}

#[actix_web::test]
async fn a_hash_of_another_system_is_made_anew_and_sent_back() {
    let app = TestApp::start().await;
    let id = app.users.create_foreign("testuser");
    assert_renewed(&app, id).await;
    app.stop().await;
}

/// The user logs in with `testpassword` alone, and then another hash is sent to user_service.
async fn assert_renewed(app: &TestApp, id: i64) {
    let queue = QueueSpec {
        name: REHASH_QUEUE.into(),
        lifetime: QueueLifetime::Shared,
        bindings: vec![],
        prefetch: 10,
    };
    let mut rehashed = app.bus.subscribe(queue).await.unwrap();
    app.bring().await;
    assert_eq!(app.login("testuser", "wrongpassword").await.status, 401);
    assert_eq!(app.login("testuser", "testpassword").await.status, 200);
    let message = within("the new hash", BOUND, rehashed.next()).await.unwrap().message;
    let command: PasswordRehashed = serde_json::from_slice(&message.body).unwrap();
    assert_eq!((command.id.0, command.password_version), (id, 1));
    assert!(command.sealed_hash.as_str().starts_with("v2."), "sealed");
}
