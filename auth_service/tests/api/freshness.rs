//! What a replica cannot know it does not say: 503, never 401, and nothing is accepted that may have
//! ended while nobody could tell.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use shared::clock::Clock;
use testkit::wait::until;

use crate::forge::Forge;
use crate::test_app::{BOUND, TestApp};

/// More than a proof holds for.
const PAUSE_MS: i64 = 60_000;

/// A service with one user, its token, and what tokens like it can be made with.
async fn app_with_token() -> (TestApp, String, Forge) {
    let app = TestApp::start_with(&[], Clock::manual(1_800_000_000_000)).await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    let forge = Forge::new(&token, app.dir.path());
    (app, token, forge)
}

/// A token as another replica signs it that has applied the whole log: of the user's present stamp.
fn token_of_last_record(app: &TestApp, forge: &Forge) -> String {
    // What was asked before is no news about it.
    app.clock.advance_ms(1);
    let claims = forge.claims_with(json!({ "stamp": app.users.position().encode() }));
    forge.signed(&forge.header.to_string(), &claims)
}

#[actix_web::test]
async fn a_stamp_beyond_the_projection_is_waited_for_and_never_called_dead() {
    let (app, old, forge) = app_with_token().await;
    app.users.set_answers(false);
    app.users.change_password(1, "otherpassword");
    let token = token_of_last_record(&app, &forge);
    let answer = app.verify(&token).await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "not-yet-known"));
    assert!(answer.header("retry-after").is_some());
    app.users.set_answers(true);
    app.until_applied().await;
    assert!(app.is_alive(&token).await);
    assert_eq!(app.verify(&old).await.status, 401);
    app.stop().await;
}

#[actix_web::test]
async fn a_request_waits_for_the_record_of_its_stamp_if_it_comes_soon() {
    let (app, _, forge) = app_with_token().await;
    app.users.set_answer_time(Duration::from_millis(300));
    app.users.change_password(1, "otherpassword");
    let token = token_of_last_record(&app, &forge);
    assert_eq!(app.verify(&token).await.status, 200, "an answer brings the record");
    app.stop().await;
}

#[actix_web::test]
async fn a_stamp_that_the_log_does_not_have_is_dead_once_an_answer_says_so() {
    let (app, _, forge) = app_with_token().await;
    app.users.change_password(1, "otherpassword");
    let lost = token_of_last_record(&app, &forge);
    app.users.restore(1);
    assert_eq!(app.verify(&lost).await.status, 401, "the log ends before it");
    app.users.rename(1, "renamed");
    assert_eq!(app.verify(&lost).await.status, 401, "the log has another record there");
    app.stop().await;
}

#[actix_web::test]
async fn a_process_that_was_stopped_accepts_nothing_before_it_has_an_answer() {
    let (app, token, _) = app_with_token().await;
    app.users.create("stays", "testpassword");
    app.bring().await;
    let stays = app.login("stays", "testpassword").await.token();
    app.users.set_answer_time(Duration::from_millis(300));
    // Nobody hears of it but those who ask.
    app.users.delete(1);
    app.clock.advance_ms(PAUSE_MS);
    let (deleted, kept, login) = tokio::join!(
        app.verify(&token),
        app.verify(&stays),
        app.login("testuser", "testpassword"),
    );
    assert_eq!((deleted.status, kept.status, login.status), (401, 200, 401));
    app.stop().await;
}

#[actix_web::test]
async fn without_user_service_all_goes_on_but_trades() {
    let (app, token, _) = app_with_token().await;
    assert_eq!(app.refresh(&token).await.status, 200);
    app.users.set_answers(false);
    app.clock.advance_ms(PAUSE_MS);
    // It waits until it is known that no answer comes.
    assert_eq!(app.verify(&token).await.status, 200);
    app.until_cut_off().await;
    let refused = app.refresh(&token).await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "not-yet-known"));
    let new = app.login("testuser", "testpassword").await.token();
    assert_eq!(app.logout(&token).await.status, 200);
    assert_eq!(app.verify(&token).await.status, 401);
    assert!(app.is_alive(&new).await && app.get("/readyz").await.status == 200);
    app.users.set_answers(true);
    app.users.publish_head().await;
    until("tokens are traded again", BOUND, async || {
        (app.refresh(&new).await.status == 200).then_some(())
    })
    .await;
    app.stop().await;
}

#[actix_web::test]
async fn only_so_many_requests_of_a_session_wait() {
    let (app, _, forge) = app_with_token().await;
    app.users.set_answers(false);
    app.users.change_password(1, "otherpassword");
    let token = token_of_last_record(&app, &forge);
    let requests = (0..40).map(|_| app.verify(&token));
    let mut answers: FuturesUnordered<_> = requests.collect();
    // Two workers, with 16 seats for a session on each.
    for _ in 0..8 {
        assert_eq!(answers.next().await.unwrap().problem(), "not-yet-known");
    }
    app.users.set_answers(true);
    let later: Vec<u16> = answers.map(|answer| answer.status).collect().await;
    assert!(later.contains(&200), "the others have waited: {later:?}");
    app.stop().await;
}
