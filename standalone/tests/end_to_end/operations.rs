//! docs/operations.md: its commands are run beside what the word after `sh` names, and do what the page says.

mod commands;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use testkit::postgres::{self, Postgres};

use self::commands::{Commands, blocks};
use crate::client::Client;
use crate::journeys::{until_dead, until_login_gives};
use crate::moving_in::HASH;
use crate::restores::until_followed;
use crate::system::System;

const PASSWORD: &str = "testpassword";
/// What is typed where a password is asked for: also that of a role of PostgreSQL, which the testkit uses.
const TYPED: &str = postgres::PASSWORD;
const IN_CONTAINERS: &str = "needs Docker; scripts/compose-check.sh tries containers";

/// Sections with a block that is not run here, each as often as it has one, and why.
const NOT_RUN: [(&str, &str); 4] = [
    (
        "Start it with systemd",
        "changes the machine; `scripts/packages.sh deb` tries the packages in a root of their own",
    ),
    ("Add a replica of auth_service", IN_CONTAINERS),
    ("Make a backup", IN_CONTAINERS),
    ("Restore a backup", IN_CONTAINERS),
];

#[test]
fn every_block_of_commands_is_run_or_has_a_reason() {
    let not_run = blocks().into_iter();
    let not_run = not_run.filter(|block| !["standalone", "two-processes"].contains(&block.scene));
    let found: Vec<_> = not_run.map(|block| (block.section, block.scene)).collect();
    assert_eq!(found, NOT_RUN.map(|(section, _)| (section, "")));
}

#[actix_web::test]
async fn the_commands_beside_one_process_do_what_the_page_says() {
    let directory = tempfile::tempdir().unwrap();
    let clients = directory.path().join("clients");
    fs::write(&clients, "earlier:0123456789abcdef0123456789abcdef").unwrap();
    let setting = ("INTROSPECTION_CLIENTS_FILE", clients.to_str().unwrap().to_owned());
    let mut commands = Commands::of("standalone", directory.path(), TYPED);
    let mut system = System::on(directory, vec![setting]);

    let before = logged_in(system.client, "anna").await;
    let users = system.client.users.to_string();
    let section = "Set a password, or end all sessions of a user";
    commands.run(section, &[("127.0.0.1:8001", &users)]);
    until_login_gives(system.client, "anna", "a new password", 200).await;
    until_dead(system.client, &before).await;

    fs::remove_file(&clients).unwrap();
    commands.run("Let a service ask about tokens", &[]);
    assert_eq!(fs::metadata(&clients).unwrap().permissions().mode() & 0o777, 0o600);
    system.restart();
    let token = system.client.token("anna", "a new password").await;
    let auth = system.client.auth.to_string();
    let replaced = [("127.0.0.1:8002", &*auth), ("$TOKEN", &token)];
    commands.run("Let a service ask about tokens", &replaced);

    until_followed(system.client).await;
    commands.run("See whether both services have the same users", &[]);

    commands.run("Go back to an earlier version", &[]);
    system.client.create("lost", PASSWORD).await;
    system.restart_after(|data| {
        put_aside(data);
        commands.run("Go back to an earlier version", &[]);
    });
    assert_eq!(names(system.client).await, ["anna"]);
    until_login_gives(system.client, "anna", "a new password", 200).await;
    system.stop();
    commands.end();
}

#[actix_web::test]
async fn the_commands_beside_two_processes_do_what_the_page_says() {
    let mut system = System::in_two_processes().await;
    let directory = system.data_dir().parent().unwrap().to_owned();
    let mut commands = Commands::of("two-processes", &directory, TYPED);
    let client = system.client;

    let before = logged_in(client, "anna").await;
    commands.run("Make a user an administrator", &[]);
    until_dead(client, &before).await;
    client.delete(1).await;

    users_are_created_and_imported(&mut commands, client, &directory).await;
    until_followed(client).await;
    commands.run("See whether both services have the same users", &[]);
    a_key_is_rotated_and_killed(&mut commands, client).await;

    commands.run("Make a backup", &[]);
    client.create("lost", PASSWORD).await;
    system.restart_after(|data| {
        put_aside(data);
        commands.run("Restore a backup", &[]);
    });
    let kept = ["anna", "bert", "carl", "dora", "emil"];
    assert_eq!(names(system.client).await, kept);
    until_login_gives(system.client, "dora", PASSWORD, 200).await;
    system.stop();

    let database = Postgres::start().await;
    database.sql_as_superuser("DROP DATABASE lockstep");
    database.sql_as_superuser("DROP ROLE lockstep");
    commands.variables = database.superuser_variables();
    let address = database.address().to_string();
    let replaced = [("db.example:5432", &*address), ("PASSWORD", TYPED)];
    commands.run("Keep the users in PostgreSQL", &replaced);
    commands.run("Move the users to another database", &[]);
    let moved = database.sql("SELECT username FROM users ORDER BY id");
    assert_eq!(moved.lines().collect::<Vec<_>>(), kept);
    commands.end();
}

async fn users_are_created_and_imported(commands: &mut Commands, client: Client, directory: &Path) {
    fs::write(directory.join("bert.password"), PASSWORD).unwrap();
    commands.run("Create a user from a shell", &[]);
    let of_carl = fs::read_to_string(directory.join("carl.password")).unwrap();
    for (name, password) in [("anna", TYPED), ("bert", PASSWORD), ("carl", of_carl.trim())] {
        until_login_gives(client, name, password, 200).await;
    }
    let line = |name| json!({"username": name, "password_hash": HASH}).to_string() + "\n";
    fs::write(directory.join("users.jsonl"), ["dora", "emil"].map(line).concat()).unwrap();
    commands.run("Bring users from another system", &[]);
    until_login_gives(client, "dora", PASSWORD, 200).await;
    let exported = fs::read_to_string(directory.join("export.jsonl")).unwrap();
    assert_eq!(exported.lines().count(), 5, "{exported}");
}

async fn a_key_is_rotated_and_killed(commands: &mut Commands, client: Client) {
    let before = client.token("bert", PASSWORD).await;
    let header = before.split('.').next().unwrap();
    let header = data_encoding::BASE64URL_NOPAD.decode(header.as_bytes()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    let kid = header["kid"].as_str().unwrap();
    commands.run("Rotate a signing key, or kill one that leaked", &[("KID", kid)]);
    assert!(!client.is_alive(&before).await);
    let after = client.token("bert", PASSWORD).await;
    assert!(client.is_alive(&after).await);
}

/// Creates the user, and returns a token.
async fn logged_in(client: Client, name: &str) -> String {
    client.create(name, PASSWORD).await;
    until_login_gives(client, name, PASSWORD, 200).await;
    client.token(name, PASSWORD).await
}

async fn names(client: Client) -> Vec<String> {
    let users = client.list().await.body;
    let name = |user: &serde_json::Value| user["username"].as_str().unwrap().to_owned();
    users.as_array().unwrap().iter().map(name).collect()
}

/// Empties the data directory, but for the sealing key.
fn put_aside(data: &Path) {
    let aside = data.with_file_name("aside");
    fs::rename(data, &aside).unwrap();
    fs::create_dir(data).unwrap();
    fs::copy(aside.join("sealing.key"), data.join("sealing.key")).unwrap();
}
