//! Somebody guesses a password and takes an account over: the audit trail tells all of it.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Output, Stdio};
use std::time::Duration;

use actix_web::rt::task::spawn_blocking;
use awc::http::Method;
use serde_json::{Value, json};
use testkit::wait::until;

use crate::client::Answer;
use crate::journeys::until_login_gives;
use crate::system::{System, command_on};

const ATTACKER: &str = "192.0.2.9";
const OWNER: &str = "198.51.100.4";
const BOUND: Duration = Duration::from_secs(30);

async fn login(system: &System, from: &str, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password});
    let from = [("x-forwarded-for", from)];
    system.client.send(Method::POST, system.client.auth, "/login", &from, Some(body)).await
}

/// The lines of the trail up to the one with this event.
async fn trail_until(system: &System, last: &str) -> Vec<Value> {
    let mut trail: Vec<Value> = Vec::new();
    until("the trail is written", BOUND, async || {
        let lines = system.auth_service().take_log().into_iter();
        let entries = lines.filter_map(|line| serde_json::from_str(&line).ok());
        trail.extend(entries.filter(|entry: &Value| entry["target"] == "audit"));
        trail.iter().any(|entry| entry["event.name"] == last).then_some(())
    })
    .await;
    trail
}

#[actix_web::test]
async fn an_attack_is_traced_from_the_address_to_what_was_done_with_the_account() {
    let mut system = System::with_settings(vec![("TRUSTED_PROXIES", "127.0.0.1")]);
    let anna = system.client.create("Anna", "testpassword").await;
    until("she can log in", BOUND, async || {
        (login(&system, OWNER, "Anna", "testpassword").await.status == 200).then_some(())
    })
    .await;
    for guess in ["password1", "password2", "password3"] {
        assert_eq!(login(&system, ATTACKER, "aNNa", guess).await.status, 401);
    }
    assert_eq!(login(&system, ATTACKER, "nobody", "password1").await.status, 401);
    assert_eq!(login(&system, ATTACKER, "anna", "testpassword").await.status, 200);
    let path = format!("/users/{}", anna.id);
    let change = json!({"current_password": "testpassword", "password": "it is mine now"});
    let from = ("x-forwarded-for", ATTACKER);
    let taken = system.client.call_users_with(Method::PUT, &path, from, change).await;
    assert_eq!(taken.status, 200, "{:?}", taken.body);
    let sessions = format!("{path}/sessions");
    let admin = system.admin_token();
    let ended = system.client.call_as(admin.trim(), Method::DELETE, &sessions, None).await;
    assert_eq!(ended.status, 204);

    let trail = trail_until(&system, "sessions.end").await;
    let of_attacker = |entry: &&Value| entry["client.address"] == ATTACKER;
    let failed =
        |entry: &&Value| entry["event.name"] == "login" && entry["event.outcome"] == "failure";
    let failures: Vec<&Value> = trail.iter().filter(of_attacker).filter(failed).collect();
    assert_eq!(failures.len(), 4, "{trail:#?}");
    let tried: BTreeSet<&str> =
        failures.iter().map(|entry| entry["user.hash"].as_str().unwrap()).collect();
    assert_eq!(tried.len(), 2, "one name in three spellings, and another");

    let succeeded = |entry: &&Value| entry["event.outcome"] == "success";
    let done: Vec<&Value> = trail.iter().filter(of_attacker).filter(succeeded).collect();
    let [entered, changed] = done[..] else { panic!("{done:#?}") };
    assert_eq!((&entered["event.name"], &entered["user.id"]), (&json!("login"), &json!(anna.id)));
    assert_eq!(entered["user.hash"], failures[0]["user.hash"], "this name was guessed");
    assert_eq!(changed["event.name"], "password.change");
    assert_eq!(changed["user.id"], anna.id);

    let end = trail.last().unwrap();
    assert_eq!((&end["actor.kind"], &end["user.id"]), (&json!("administrator"), &json!(anna.id)));
    let text = serde_json::to_string(&trail).unwrap().to_lowercase();
    assert!(!text.contains("anna") && !text.contains("password1"), "{text}");
    system.stop();
}

#[actix_web::test]
async fn a_refused_refresh_tells_why_and_an_administrator_is_named() {
    let mut system = System::with_settings(vec![("ADMINS", "1")]);
    let client = system.client;
    let root = client.create("root", "testpassword").await;
    until_login_gives(client, "root", "testpassword", 200).await;
    let live = client.token("root", "testpassword").await;
    assert_eq!(client.refresh(&live).await.status, 200);
    let ended = client.token("root", "testpassword").await;
    assert_eq!(client.logout(&ended).await.status, 200);
    for token in ["no token", "a.b.c", &ended] {
        assert_eq!(client.refresh(token).await.status, 401);
    }
    assert_eq!(client.send(Method::POST, client.auth, "/refresh", &[], None).await.status, 401);
    let anna = client.create("anna", "testpassword").await;
    let sessions = format!("/users/{}/sessions", anna.id);
    assert_eq!(client.call_as(&live, Method::DELETE, &sessions, None).await.status, 204);

    let trail = trail_until(&system, "sessions.end").await;
    let refreshes: Vec<&Value> =
        trail.iter().filter(|entry| entry["event.name"] == "token.refresh").collect();
    let [good, failures @ ..] = &refreshes[..] else { panic!("{trail:#?}") };
    assert_eq!((&good["event.outcome"], &good["user.id"]), (&json!("success"), &json!(root.id)));
    let reason = |entry: &&Value| {
        assert_eq!(
            (&entry["event.outcome"], &entry["error.type"]),
            (&json!("failure"), &json!("invalid-token"))
        );
        entry["error.message"].as_str().unwrap_or("no token").to_owned()
    };
    let reasons: Vec<String> = failures.iter().map(reason).collect();
    assert_eq!(reasons.len(), 4, "{trail:#?}");
    assert!(reasons[1].contains("not a token of this service"), "{reasons:?}");
    assert!(reasons[2].contains("its session has ended"), "{reasons:?}");
    let by_root = trail.last().unwrap();
    assert_eq!(
        (&by_root["actor.kind"], &by_root["actor.id"]),
        (&json!("administrator"), &json!(root.id))
    );
    system.stop();
}

/// A command beside the running service, with this on its standard input.
async fn command(system: &System, arguments: &[&str], input: &str) -> Output {
    let mut command = command_on(&system.data_dir());
    command.args(arguments);
    let input = input.to_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = move || {
        let mut child = command.spawn().unwrap();
        // It may end without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    spawn_blocking(run).await.unwrap()
}

#[actix_web::test]
async fn each_command_that_changes_something_or_hands_out_hashes_tells_the_account_that_gave_it() {
    let mut system = System::in_one_process();
    let anna = system.client.create("Anna", "testpassword").await;
    let exported = command(&system, &["users", "export", "-"], "").await;
    assert!(exported.status.success(), "{exported:?}");
    // Its own trail would be lost with its output: the service writes the line.
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy");
    let copy = copy.to_str().unwrap();
    let backed_up = command(&system, &["backup", copy], "").await;
    assert_eq!((backed_up.status.code(), &*backed_up.stderr), (Some(0), &b""[..]));
    let with_hash = String::from_utf8(exported.stdout).unwrap().replace("Anna", "carl");
    for (arguments, input, is_done) in [
        (&["users", "create", "Berta"][..], "correct horse", true),
        (&["users", "create", "aNNa"], "correct horse", false),
        (&["users", "import", "-"], &with_hash, true),
        (&["users", "list"], "", true),
        (&["admins", "add", "anna"], "", true),
        (&["admins", "add", "nobody"], "", false),
        (&["admins", "remove", "anna"], "", true),
        (&["backup", copy], "", false),
        (&["keys", "list"], "", true),
        (&["keys", "kill", "nonsense"], "", false),
        (&["keys", "rotate"], "", true),
    ] {
        let output = command(&system, arguments, input).await;
        assert_eq!(output.status.success(), is_done, "{arguments:?}: {output:?}");
    }

    let trail = trail_until(&system, "key.rotate").await;
    let by_operators: Vec<_> =
        trail.iter().filter(|entry| entry["actor.kind"] == "operator").collect();
    let told: Vec<_> = by_operators
        .iter()
        .map(|entry| ["event.name", "event.outcome"].map(|field| entry[field].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ["user.export_hashes", "success"],
            // Nobody is left.
            ["user.export_hashes", "success"],
            ["data.backup", "success"],
            ["user.create", "success"],
            ["user.create", "failure"],
            ["user.import", "success"],
            ["admin.add", "success"],
            ["admin.add", "failure"],
            ["admin.remove", "success"],
            ["data.backup", "failure"],
            ["key.kill", "failure"],
            ["key.rotate", "success"],
        ]
    );
    let own = system.data_dir().metadata().unwrap().uid();
    assert!(by_operators.iter().all(|entry| entry["process.user.id"] == own), "{trail:#?}");
    assert_eq!(by_operators[0]["user.count"], 1);
    assert_eq!(by_operators[2]["file.path"], copy);
    assert_eq!(by_operators[3]["user.id"], anna.id + 1);
    assert_eq!(by_operators[4]["error.message"], "the name is taken");
    assert_eq!(by_operators[5]["user.count"], 1);
    assert_eq!(by_operators[6]["user.id"], anna.id);
    assert_eq!(by_operators[7]["error.message"], "there is no such user");
    let refused = by_operators[9]["error.message"].as_str().unwrap();
    assert!(refused.contains("is not empty"), "{refused}");
    assert!(by_operators[11]["key.id"].is_string(), "{trail:#?}");
    let text = serde_json::to_string(&trail).unwrap().to_lowercase();
    assert!(!text.contains("berta") && !text.contains("horse"), "{text}");
    system.stop();
}
