//! The users in a database server: what clients see of it, also when it is away.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::postgres::{PASSWORD, Postgres};
use testkit::wait::until;

use crate::test_app::{Setup, TestApp};

/// All processes have the same one.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct Outside {
    server: Postgres,
    app: TestApp,
}

async fn start() -> Outside {
    let server = Postgres::start().await;
    let app = start_on(&server).await;
    Outside { server, app }
}

async fn start_on(server: &Postgres) -> TestApp {
    let setup = Setup::default();
    std::fs::write(setup.directory.path().join("url"), server.url() + "\n").unwrap();
    Setup { has_url_file: true, flags: vec!["--sealing-key", KEY], ..setup }.start().await
}

fn user(name: &str) -> Value {
    json!({"username": name, "password": "testpassword"})
}

async fn until_ready(app: &TestApp) {
    until("it is ready", Duration::from_secs(20), async || {
        (app.get("/readyz").await.status == 200).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn users_are_created_read_changed_and_deleted_as_in_a_file() {
    let Outside { app, server } = start().await;
    let created = app.send_json("POST", "/users", &[("idempotency-key", "k")], &user("Ada")).await;
    assert_eq!((created.status, created.json()["id"].as_i64()), (201, Some(1)));
    let again = app.send_json("POST", "/users", &[("idempotency-key", "k")], &user("Ada")).await;
    assert_eq!((again.status, &again.text), (201, &created.text));
    app.post(&user("aDA")).await.assert_problem(409, "username-taken");
    let tag = app.tag(1).await;
    let renamed =
        app.send_json("PUT", "/users/1", &[("if-match", &tag)], &json!({"username": "Bea"})).await;
    assert_eq!(renamed.json(), json!({"id": 1, "username": "Bea"}));
    let stale =
        app.send_json("PUT", "/users/1", &[("if-match", &tag)], &json!({"username": "Cleo"})).await;
    stale.assert_problem(412, "precondition-failed");
    let password = json!({"current_password": "testpassword", "password": "another one"});
    assert_eq!(app.put(1, &password).await.status, 200);
    assert_eq!(app.put(1, &password).await.status, 403, "the current one is another now");
    app.create("Dora").await;
    assert_eq!(app.get("/users").await.json().as_array().unwrap().len(), 2);
    assert_eq!(app.get("/users?username=bea%00").await.status / 100, 2, "no text has a NUL");
    assert_eq!(app.delete(1).await.status, 200);
    app.get("/users/1").await.assert_problem(404, "no-such-user");
    let directory = app.stop().await;
    assert!(!directory.path().join("users.db").exists(), "the users are elsewhere");
    let app = start_on(&server).await;
    assert_eq!(app.create("Ada").await, 3, "another process goes on");
}

#[actix_web::test]
async fn while_the_server_is_away_the_answer_is_503_and_then_everything_works_again() {
    let Outside { app, mut server } = start().await;
    app.create("Ada").await;
    server.kill().await;
    for refused in [app.post(&user("Bea")).await, app.get("/users/1").await] {
        refused.assert_problem(503, "overloaded");
        assert!(!refused.header("retry-after").is_empty());
        assert!(!refused.text.contains("postgres"), "{}", refused.text);
    }
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("the database cannot be reached"), "{}", ready.text);
    server.restart().await;
    until_ready(&app).await;
    assert_eq!(app.create("Bea").await, 2, "what was refused was not made");
    assert_eq!(app.get("/users/1").await.status, 200);
}

#[actix_web::test]
async fn the_service_starts_without_the_server_and_writes_when_it_is_there() {
    let mut server = Postgres::start().await;
    server.stop().await;
    let app = start_on(&server).await;
    assert_eq!(app.get("/readyz").await.status, 503);
    app.post(&user("Ada")).await.assert_problem(503, "overloaded");
    server.restart().await;
    until_ready(&app).await;
    assert_eq!(app.create("Ada").await, 1);
}

#[actix_web::test]
async fn several_processes_write_to_one_log_and_a_key_gets_one_answer_from_all() {
    let Outside { app: first, server } = start().await;
    let second = start_on(&server).await;
    let apps = [Arc::new(first), Arc::new(second)];
    for n in 0..6 {
        let app = &apps[n % 2];
        assert_eq!(app.create(&format!("user{n}")).await, i64::try_from(n).unwrap() + 1);
    }
    let key = [("idempotency-key", "k")];
    let [first, second] = [0, 1].map(|n| apps[n].clone());
    let body = user("Ada");
    let (one, two) = futures_util::future::join(
        first.send_json("POST", "/users", &key, &body),
        second.send_json("POST", "/users", &key, &body),
    )
    .await;
    assert_eq!((one.status, two.status, one.text), (201, 201, two.text));
    let refused = first.send_json("POST", "/users", &key, &user("Bea")).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(second.get("/users").await.json().as_array().unwrap().len(), 7);
}

#[actix_web::test]
async fn a_process_that_writes_nothing_learns_what_another_writes_and_that_the_server_is_away() {
    let Outside { app: first, mut server } = start().await;
    let second = start_on(&server).await;
    first.create("Ada").await;
    second.create("Bea").await;
    first.create("Cleo").await;
    until("the other has heard", Duration::from_secs(5), async || {
        let metrics = second.get("/metrics").await.text;
        metrics.contains("lockstep_user_log_head_seq 3\n").then_some(())
    })
    .await;
    server.kill().await;
    until("both are not ready", Duration::from_secs(5), async || {
        let [one, two] = [first.get("/readyz").await, second.get("/readyz").await];
        (one.status == 503 && two.status == 503).then_some(())
    })
    .await;
    server.restart().await;
    until_ready(&first).await;
    until_ready(&second).await;
}

#[actix_web::test]
async fn a_wrong_password_ends_the_start_and_is_not_told() {
    let server = Postgres::start().await;
    let setup = Setup::default();
    let url = server.url().replace(PASSWORD, "another-canary");
    std::fs::write(setup.directory.path().join("url"), url).unwrap();
    let refused = Setup { has_url_file: true, ..setup }.try_start().await.err().unwrap();
    let told = shared::telemetry::ErrorChain(&refused).to_string();
    assert!(told.contains("password authentication failed"), "{told}");
    assert!(!told.contains("canary") && told.lines().count() == 1, "{told}");
}
