//! The events for services of others: the document that describes them, and a consumer that follows them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use awc::http::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use testkit::wait::until_holds;

use crate::collector::Collector;
use crate::contract_tools::{Program, contracts, printed_by, python, repository};
use crate::example_service::{Service, the_service_honours_logouts};
use crate::journeys::until_login_gives;
use crate::owners::admins;
use crate::restores::{copy, until_followed};
use crate::spans::{create_traced, the_trace_of_a_creation_holds_both_services, traced_by};
use crate::system::System;

const PASSWORD: &str = "testpassword";
const BOUND: Duration = Duration::from_mins(1);

#[test]
fn the_document_of_the_events_is_asyncapi() {
    let mut node = Command::new("node");
    node.arg(contracts("check_asyncapi.mjs")).arg(repository("docs/asyncapi.yaml"));
    assert_eq!(printed_by(&mut node), "user.{change} log.rewound log.head session.revoked\n");
}

/// One system and one broker for all that is said of events: starting them takes longer than the rest.
#[actix_web::test]
async fn the_events_are_as_documented_and_the_examples_follow_them() {
    let collector = Collector::start();
    let mut system = System::in_two_processes_with(traced_by(&collector)).await;
    every_message_on_the_wire_is_as_documented(&mut system).await;
    create_traced(&system, "01").await;
    the_trace_of_a_creation_holds_both_services(&collector, "rabbitmq").await;
    let reader = add_reader(&mut system);
    let refused = printed_by(python("python").arg(contracts("check_account.py")).arg(&reader));
    assert_eq!(refused, "9 refused\n");
    the_service_honours_logouts(&system, &reader).await;
    the_consumer_ends_with_the_same_users(&mut system, &reader).await;
    both_examples_follow_a_log_that_went_back(&mut system, &reader).await;
    system.stop();
}

async fn every_message_on_the_wire_is_as_documented(system: &mut System) {
    let mut checker = python("python");
    checker.arg(contracts("check_messages.py"));
    checker.arg(system.broker().url()).arg(repository("docs/asyncapi.yaml"));
    let mut checker = Program::start(checker.stdout(Stdio::piped()));
    let mut lines = BufReader::new(checker.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "READY");

    let id = system.client.create("testuser", PASSWORD).await.id;
    until_login_gives(system.client, "testuser", PASSWORD, 200).await;
    assert_eq!(system.client.put(id, json!({"username": "newusername"})).await.status, 200);
    until_login_gives(system.client, "newusername", PASSWORD, 200).await;
    let token = system.client.token("newusername", PASSWORD).await;
    assert_eq!(system.client.logout(&token).await.status, 200);
    let (admin, path) = (system.admin_token(), format!("/users/{id}/sessions"));
    let ended = system.client.call_as(admin.trim(), Method::DELETE, &path, None).await;
    assert_eq!(ended.status, 204, "{ended:?}");
    let made = admins(system, &["add", "newusername"]).await;
    assert!(made.status.success(), "{made:?}");
    assert_eq!(system.client.delete(id).await.status, 200);

    let counts: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(checker.0.wait().unwrap().success());
    for kind in
        ["user.created", "user.updated", "user.sessions_ended", "user.role_changed", "user.deleted"]
    {
        assert_eq!(counts[kind], 1, "{counts}");
    }
    assert_eq!(counts["session.revoked"], 1, "{counts}");
}

/// Makes the account that docs/events.md describes. It gives its URL.
fn add_reader(system: &mut System) -> String {
    let page = std::fs::read_to_string(repository("docs/events.md")).unwrap();
    let (_, section) = page.split_once("## An account that can only read").unwrap();
    let block = section.split("```").nth(1).unwrap();
    for command in block.lines().filter_map(|line| line.strip_prefix("rabbitmqctl ")) {
        let words: Vec<_> = command.split(' ').map(|word| word.trim_matches('\'')).collect();
        system.broker().control(&words);
    }
    system.broker().url().replace("guest:guest", "example:PASSWORD")
}

fn start_consumer(system: &System, reader: &str, copy: &Path) -> Program {
    let mut command = python("python");
    command.arg(repository("examples/consumer-python/consumer.py")).arg(reader);
    Program::start(command.arg(format!("http://{}", system.client.users)).arg(copy))
}

/// The users that the consumer has; none before it has made its database.
fn copied(copy: &Path) -> rusqlite::Result<Vec<(i64, String)>> {
    let database = Connection::open(copy)?;
    let mut statement = database.prepare("SELECT id, username FROM users ORDER BY id")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

async fn until_it_has_the_same(system: &System, copy: &Path, after: &str) {
    let list = system.client.list().await.body;
    let user = |user: &Value| Some((user["id"].as_i64()?, user["username"].as_str()?.to_owned()));
    let users: Vec<_> = list.as_array().unwrap().iter().filter_map(user).collect();
    let same = || copied(copy).unwrap_or_default() == users;
    until_holds(&format!("the same users after {after}"), BOUND, same).await;
}

async fn the_consumer_ends_with_the_same_users(system: &mut System, reader: &str) {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.db");
    let first = system.client.create("first", PASSWORD).await.id;
    let consumer = start_consumer(system, reader, &copy);
    until_it_has_the_same(system, &copy, "the start").await;

    system.client.create("second", PASSWORD).await;
    assert_eq!(system.client.put(first, json!({"username": "renamed"})).await.status, 200);
    until_it_has_the_same(system, &copy, "events").await;

    drop(consumer);
    system.client.create("third", PASSWORD).await;
    assert_eq!(system.client.delete(first).await.status, 200);
    let consumer = start_consumer(system, reader, &copy);
    until_it_has_the_same(system, &copy, "its own death").await;

    system.broker().stop().await;
    system.broker().wipe();
    system.client.create("fourth", PASSWORD).await;
    system.broker().restart().await;
    add_reader(system);
    until_it_has_the_same(system, &copy, "the loss of all queues").await;

    drop(consumer);
    system.kill_and_restart();
    system.client.create("fifth", PASSWORD).await;
    let _consumer = start_consumer(system, reader, &copy);
    until_it_has_the_same(system, &copy, "a kill of both services").await;
}

async fn both_examples_follow_a_log_that_went_back(system: &mut System, reader: &str) {
    let directory = tempfile::tempdir().unwrap();
    let [copied, endings] = ["copy.db", "endings.db"].map(|name| directory.path().join(name));
    system.client.create("kept", PASSWORD).await;
    system.restart_after(|data| copy(&["users.db"], data, "", ".before"));
    let consumer = start_consumer(system, reader, &copied);
    let service = Service::start(system, reader, &endings);
    system.client.create("lost", PASSWORD).await;
    until_it_has_the_same(system, &copied, "the start").await;
    until_login_gives(system.client, "kept", PASSWORD, 200).await;
    let before = system.client.token("kept", PASSWORD).await;
    assert_eq!(service.status_for(&before).await, 200);

    // The services get other ports, which the examples are told when they start.
    drop((consumer, service));
    system.restart_after(|data| copy(&["users.db"], data, ".before", ""));
    until_followed(system.client).await;
    let after = system.client.token("kept", PASSWORD).await;
    system.client.create("found", PASSWORD).await;
    let _consumer = start_consumer(system, reader, &copied);
    let service = Service::start(system, reader, &endings);
    until_it_has_the_same(system, &copied, "a restore of older users").await;
    service.until_it_refuses(&before, "a restore of older users").await;
    assert_eq!(service.status_for(&after).await, 200);
}
