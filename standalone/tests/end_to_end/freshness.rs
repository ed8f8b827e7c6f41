//! Knowledge that may be old accepts nothing: two processes, with a broker between them.

use std::time::Duration;

use awc::http::Method;
use testkit::wait::until;

use crate::client::Client;
use crate::journeys::until_login_gives;
use crate::system::System;

const PASSWORD: &str = "testpassword";
const BOUND: Duration = Duration::from_secs(20);
/// Longer than a proof of freshness holds.
const PAUSE: Duration = Duration::from_millis(3_500);

async fn token_of_new(client: Client, name: &str) -> (i64, String) {
    let user = client.create(name, PASSWORD).await;
    until_login_gives(client, name, PASSWORD, 200).await;
    (user.id, client.token(name, PASSWORD).await)
}

async fn status(client: Client, token: &str) -> u16 {
    client.verify(token).await.status
}

/// It runs for as long as a test takes in two processes: one broker for both parts.
#[actix_web::test]
async fn what_happened_while_nobody_listened_is_known_before_a_token_is_accepted() {
    let mut system = System::in_two_processes().await;
    let client = system.client;
    a_suspended_process_accepts_nothing_of_before(&system, client).await;
    a_broker_that_is_away_ends_trades_alone(&mut system, client).await;
    system.stop();
}

async fn a_suspended_process_accepts_nothing_of_before(system: &System, client: Client) {
    let (deleted, token) = token_of_new(client, "Nina").await;
    let (_, kept) = token_of_new(client, "Otto").await;
    system.auth_service().suspend();
    assert_eq!(client.delete(deleted).await.status, 200);
    // How long it lasts is what is tested.
    actix_web::rt::time::sleep(PAUSE).await;
    // Before it runs again, so that these are the first things it finds.
    let (first, second) = (client.verify(&token), client.verify(&kept));
    let resuming = async {
        actix_web::rt::time::sleep(Duration::from_millis(50)).await;
        system.auth_service().resume();
    };
    let (first, second, ()) = tokio::join!(first, second, resuming);
    assert_ne!(first.status, 200, "{first:?}");
    assert_ne!(second.status, 401, "{second:?}");
    until("all is known again", BOUND, async || {
        let statuses = (status(client, &token).await, status(client, &kept).await);
        assert!(statuses.0 != 200 && statuses.1 != 401, "{statuses:?}");
        (statuses == (401, 200)).then_some(())
    })
    .await;
}

/// There is no direct way here.
async fn a_broker_that_is_away_ends_trades_alone(system: &mut System, client: Client) {
    let (_, token) = token_of_new(client, "Paul").await;
    assert_eq!(client.refresh(&token).await.status, 200);
    system.broker().kill().await;
    until("trades end", BOUND, async || {
        assert_eq!(status(client, &token).await, 200, "tokens are accepted all the time");
        (client.refresh(&token).await.status == 503).then_some(())
    })
    .await;
    let new = client.token("Paul", PASSWORD).await;
    assert_eq!(client.logout(&new).await.status, 200);
    assert_eq!(status(client, &new).await, 401);
    assert_eq!(client.call_with(Method::GET, "/users", ("accept", "*/*")).await.status, 200);
    system.broker().restart().await;
    until("tokens are traded again", BOUND, async || {
        // Within the interval in which a repetition is none of a thief.
        let token = client.token("Paul", PASSWORD).await;
        (client.refresh(&token).await.status == 200).then_some(())
    })
    .await;
}
