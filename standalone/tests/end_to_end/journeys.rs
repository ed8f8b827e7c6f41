//! The journeys. Each uses names of its own, so that they can follow one another on one system.

use std::time::Duration;

use serde_json::json;
use testkit::wait::until;

use crate::client::Client;
use crate::system::System;

/// How long an event may take from one service to the other, with a lost one mended.
const SYNC: Duration = Duration::from_secs(10);

const PASSWORD: &str = "testpassword";

pub(crate) async fn until_dead(client: Client, token: &str) {
    until("the token is dead", SYNC, async || (!client.is_alive(token).await).then_some(())).await;
}

pub(crate) async fn until_login_gives(client: Client, name: &str, password: &str, status: u16) {
    let what = format!("the login of {name} gives {status}");
    until(&what, SYNC, async || {
        (client.login(name, password).await.status == status).then_some(())
    })
    .await;
}

pub(crate) async fn a_user_is_created_renamed_and_deleted_and_logs_in_meanwhile(
    system: &mut System,
) {
    let client = system.client;
    let user = client.create("Ada", PASSWORD).await;
    assert_eq!(client.read(user.id).await.body, json!({"id": user.id, "username": "Ada"}));
    until_login_gives(client, "ada", PASSWORD, 200).await;
    let renamed = client.put(user.id, json!({"username": "Countess"})).await;
    assert_eq!(renamed.body, json!({"id": user.id, "username": "Countess"}));
    until_login_gives(client, "Ada", PASSWORD, 401).await;
    until_login_gives(client, "countess", PASSWORD, 200).await;
    let deleted = client.delete(user.id).await;
    assert_eq!((deleted.status, deleted.body), (200, renamed.body));
    assert_eq!(client.read(user.id).await.status, 404);
    until_login_gives(client, "countess", PASSWORD, 401).await;
}

pub(crate) async fn a_logout_kills_its_token_and_a_restart_does_not_revive_it(system: &mut System) {
    let client = system.client;
    client.create("Bea", PASSWORD).await;
    until_login_gives(client, "Bea", PASSWORD, 200).await;
    let (token, other) = (client.token("Bea", PASSWORD).await, client.token("Bea", PASSWORD).await);
    let answer = client.logout(&token).await;
    assert_eq!((answer.status, answer.body), (200, json!({"status": "logout successful"})));
    assert_eq!(client.logout(&token).await.status, 401);
    system.restart();
    assert!(!system.client.is_alive(&token).await);
    assert!(system.client.is_alive(&other).await, "the token of another login lives on");
    system.kill_and_restart();
    assert!(!system.client.is_alive(&token).await);
}

pub(crate) async fn a_logout_everywhere_kills_all_tokens_of_the_user_at_once_and_for_good(
    system: &mut System,
) {
    let client = system.client;
    client.create("Olga", PASSWORD).await;
    until_login_gives(client, "Olga", PASSWORD, 200).await;
    let (token, other) =
        (client.token("Olga", PASSWORD).await, client.token("Olga", PASSWORD).await);
    let answer = client.logout_all(&token).await;
    assert_eq!((answer.status, answer.body), (200, json!({"status": "logout successful"})));
    assert!(!client.is_alive(&token).await && !client.is_alive(&other).await);
    let new = client.token("Olga", PASSWORD).await;
    assert_eq!(client.logout_all(&token).await.status, 200, "the answer may have been lost");
    system.kill_and_restart();
    assert!(!system.client.is_alive(&other).await);
    assert!(system.client.is_alive(&new).await, "what was begun since goes on");
}

pub(crate) async fn a_deleted_user_is_logged_out(system: &mut System) {
    let client = system.client;
    let user = client.create("Cleo", PASSWORD).await;
    until_login_gives(client, "Cleo", PASSWORD, 200).await;
    let token = client.token("Cleo", PASSWORD).await;
    client.delete(user.id).await;
    until_dead(client, &token).await;
    system.restart();
    assert!(!system.client.is_alive(&token).await);
}

pub(crate) async fn a_change_of_password_kills_the_tokens_of_the_old_one(system: &mut System) {
    let client = system.client;
    let user = client.create("Dora", PASSWORD).await;
    until_login_gives(client, "Dora", PASSWORD, 200).await;
    let token = client.token("Dora", PASSWORD).await;
    let change = json!({"password": "another password", "current_password": PASSWORD});
    assert_eq!(client.put(user.id, change).await.status, 200);
    until_dead(client, &token).await;
    until_login_gives(client, "Dora", PASSWORD, 401).await;
    let token = client.token("Dora", "another password").await;
    system.restart();
    assert!(system.client.is_alive(&token).await);
}

pub(crate) async fn a_login_right_after_the_write_sees_it(system: &mut System) {
    let client = system.client;
    for n in 0..20 {
        let name = format!("eve{n}");
        let user = client.create(&name, PASSWORD).await;
        let token = Some(user.consistency_token.as_str());
        let answer = client.login_after(&name, PASSWORD, token).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let renamed = client.put(user.id, json!({"username": format!("x{name}")})).await;
        let token = renamed.consistency_token.as_deref();
        assert_eq!(client.login_after(&name, PASSWORD, token).await.status, 401);
    }
}

pub(crate) async fn a_name_that_became_free_belongs_to_its_new_owner_alone(system: &mut System) {
    let client = system.client;
    let first = client.create("Fay", PASSWORD).await;
    until_login_gives(client, "Fay", PASSWORD, 200).await;
    let token = client.token("Fay", PASSWORD).await;
    client.delete(first.id).await;
    let second = client.create("fay", "second password").await;
    assert!(second.id > first.id, "ids are never used again");
    let answer =
        client.login_after("Fay", "second password", Some(&second.consistency_token)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(client.login("Fay", PASSWORD).await.status, 401);
    until_dead(client, &token).await;
}

pub(crate) async fn a_kill_at_any_moment_loses_nothing_that_was_answered(system: &mut System) {
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        for n in 0..10 {
            let name = format!("gus{round}x{n}");
            let user = system.client.create(&name, PASSWORD).await;
            acknowledged.push((user, name));
        }
        // The last events may still be on their way.
        system.kill_and_restart();
    }
    for (user, name) in acknowledged {
        assert_eq!(system.client.read(user.id).await.body["username"], name.as_str());
        until_login_gives(system.client, &name, PASSWORD, 200).await;
    }
}

/// Only where there is a broker.
pub(crate) async fn the_broker_is_away_and_comes_back(system: &mut System) {
    let client = system.client;
    let before = client.create("Hope", PASSWORD).await;
    until_login_gives(client, "Hope", PASSWORD, 200).await;
    system.broker().kill().await;

    let token = client.token("Hope", PASSWORD).await;
    assert_eq!(client.logout(&token).await.status, 200);
    let meanwhile = client.create("Ida", PASSWORD).await;
    assert_eq!(client.put(before.id, json!({"username": "Hopeful"})).await.status, 200);
    assert_eq!(client.read(meanwhile.id).await.status, 200);
    let not_yet = client.login_after("Ida", PASSWORD, Some(&meanwhile.consistency_token)).await;
    assert_eq!(not_yet.status, 503, "{:?}", not_yet.body);

    system.broker().restart().await;
    until_login_gives(client, "Ida", PASSWORD, 200).await;
    until_login_gives(client, "Hopeful", PASSWORD, 200).await;
    assert_eq!(client.login("Hope", PASSWORD).await.status, 401);
}
