//! While nothing comes through the broker, auth_service follows user_service directly.

use std::cell::Cell;
use std::time::Duration;

use awc::http::Method;
use serde_json::{Value, json};
use testkit::wait::until;
use tokio::time::sleep;

use crate::check::{read, read_seqs};
use crate::degraded::{BOUND, call};
use crate::rig::{Rig, Side};

/// How soon a change must be known: "about a second", and a busy machine.
const SOON: Duration = Duration::from_secs(5);
/// Pause between the writes of the load.
const PAUSE: Duration = Duration::from_millis(10);
const PASSWORD: &str = "testpassword";

/// A broker that is dead, then one that is frozen, then one that user_service alone cannot reach,
/// under load: deletions, new passwords and new
/// users are known as soon as if there were one; and an empty disk is filled.
pub(crate) async fn without_the_broker(rig: &mut Rig) {
    let known = create(rig, "known").await;
    until_same_users(rig).await;
    for trouble in ["dead", "frozen", "one-sided"] {
        let deleted = create(rig, &format!("{trouble}-deleted")).await;
        let changed = create(rig, &format!("{trouble}-changed")).await;
        // Nobody tries to log in before: failures are counted.
        until_same_users(rig).await;
        println!("the broker is {trouble}");
        break_broker(rig, trouble).await;
        until_followed_directly(rig).await;
        let is_over = Cell::new(false);
        let checks = async {
            deletions_and_passwords(rig, trouble, &deleted, &changed).await;
            is_over.set(true);
        };
        let ((), written) = tokio::join!(checks, load(rig, trouble, &is_over));
        assert!(written > 20, "{written} users were made meanwhile");
        restart_both(rig).await;
        mend_broker(rig, trouble).await;
    }
    let path = format!("/users/{known}");
    assert_eq!(call(Method::DELETE, rig.address(Side::User), &path, None, None).await.0, 200);
    until_same_users(rig).await;
}

async fn deletions_and_passwords(rig: &Rig, trouble: &str, deleted: &Value, changed: &Value) {
    let (users, auth) = (rig.address(Side::User), rig.address(Side::Auth));
    let [deleted_name, changed_name, new_name] =
        ["deleted", "changed", "new"].map(|what| format!("{trouble}-{what}"));
    let token = log_in(rig, &deleted_name, PASSWORD).await.unwrap();
    let old_token = log_in(rig, &changed_name, PASSWORD).await.unwrap();
    // Who is new logs in at once: a login that finds nobody asks.
    create(rig, &new_name).await;
    log_in(rig, &new_name, PASSWORD).await.unwrap();

    let path = format!("/users/{deleted}");
    assert_eq!(call(Method::DELETE, users, &path, None, None).await.0, 200);
    let path = format!("/users/{changed}");
    let body = json!({"password": "a better password", "current_password": PASSWORD});
    assert_eq!(call(Method::PUT, users, &path, None, Some(body)).await.0, 200);
    // So does a login with a new password.
    log_in(rig, &changed_name, "a better password").await.unwrap();
    until("the tokens are dead and the old passwords wrong", SOON, async || {
        for token in [&token, &old_token] {
            let verified = call(Method::GET, auth, "/verify", Some(token), None).await;
            if verified.0 != 401 {
                return None;
            }
        }
        let logins = [&deleted_name, &changed_name];
        for name in logins {
            log_in(rig, name, PASSWORD).await.err()?;
        }
        Some(())
    })
    .await;
}

/// Creates users until it is over; their number.
async fn load(rig: &Rig, trouble: &str, is_over: &Cell<bool>) -> usize {
    let mut written = 0;
    while !is_over.get() || written < 50 {
        create(rig, &format!("{trouble}-load{written}")).await;
        written += 1;
        sleep(PAUSE).await;
    }
    written
}

/// user_service ends and comes back; auth_service loses its projection, and loads it directly.
async fn restart_both(rig: &mut Rig) {
    rig.kill(Side::User);
    rig.start(Side::User, None);
    rig.kill(Side::Auth);
    rig.remove_database(Side::Auth);
    rig.start(Side::Auth, None);
    until_same_users(rig).await;
    log_in(rig, "known", PASSWORD).await.unwrap();
}

async fn break_broker(rig: &mut Rig, trouble: &str) {
    let bus = rig.bus.as_mut().unwrap();
    match trouble {
        "dead" => bus.broker.kill().await,
        "one-sided" => bus.network(Side::User).cut(),
        _ => [Side::User, Side::Auth].into_iter().for_each(|side| bus.network(side).stall()),
    }
}

async fn mend_broker(rig: &mut Rig, trouble: &str) {
    let bus = rig.bus.as_mut().unwrap();
    match trouble {
        "dead" => bus.broker.restart().await,
        _ => [Side::User, Side::Auth].into_iter().for_each(|side| bus.network(side).heal()),
    }
    until_followed_through_the_broker(rig).await;
}

async fn until_followed_directly(rig: &Rig) {
    until("it is followed directly", BOUND, async || {
        says_directly(rig).await.is_some_and(|directly| directly).then_some(())
    })
    .await;
}

async fn until_followed_through_the_broker(rig: &Rig) {
    until("the broker is used again", BOUND, async || {
        says_directly(rig).await.is_some_and(|directly| !directly).then_some(())
    })
    .await;
}

/// Whether auth_service says that it follows directly; `None` if it is not ready.
async fn says_directly(rig: &Rig) -> Option<bool> {
    let ready = call(Method::GET, rig.address(Side::Auth), "/readyz", None, None).await;
    let says = ready.1["degraded"].to_string().contains("following user_service directly");
    (ready.0 == 200).then_some(says)
}

/// The broker comes and goes for either side, under load: nothing is lost, nothing is undone.
pub(crate) async fn both_ways_in_turns(rig: &Rig) {
    let is_over = Cell::new(false);
    let (of_users, of_auth) = (rig.database(Side::User), rig.database(Side::Auth));
    let applied = || read_seqs(&of_users, &of_auth).ok().map(|(_, applied)| applied);
    let changing = async {
        let mut last = None;
        for side in [Side::Auth, Side::User, Side::Auth, Side::User] {
            let network = rig.bus.as_ref().unwrap().network(side);
            network.cut();
            until_followed_directly(rig).await;
            network.heal();
            until_followed_through_the_broker(rig).await;
            let now = applied();
            assert!(now >= last, "the projection went back from {last:?} to {now:?}");
            last = now.or(last);
        }
        is_over.set(true);
    };
    let ((), written) = tokio::join!(changing, load(rig, "turns", &is_over));
    assert!(written > 20, "{written} users were made meanwhile");
    until_same_users(rig).await;
}

async fn until_same_users(rig: &Rig) {
    until("both have the same users", BOUND, async || {
        let stored = read(&rig.database(Side::User), &rig.database(Side::Auth)).ok()?;
        (stored.users == stored.projection).then_some(())
    })
    .await;
}

/// The new user's id.
async fn create(rig: &Rig, name: &str) -> Value {
    let body = json!({"username": name, "password": PASSWORD});
    let (status, user, _) =
        call(Method::POST, rig.address(Side::User), "/users", None, Some(body)).await;
    assert_eq!(status, 201, "{user}");
    user["id"].clone()
}

/// The token, or the status of the refusal.
async fn log_in(rig: &Rig, name: &str, password: &str) -> Result<String, u16> {
    let body = json!({"username": name, "password": password});
    let (status, answer, _) =
        call(Method::POST, rig.address(Side::Auth), "/login", None, Some(body)).await;
    match answer["token"].as_str() {
        Some(token) if status == 200 => Ok(token.to_owned()),
        _ => Err(status),
    }
}
