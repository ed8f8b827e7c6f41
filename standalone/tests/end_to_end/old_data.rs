//! Today's services on data directories of older versions: `fixtures/`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::client::Client;
use crate::journeys::until_login_gives;
use crate::system::System;

/// Copies a directory of files, each private to its owner: git does not keep modes.
pub(crate) fn copy_privately(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        std::fs::copy(entry.path(), &copy).unwrap();
        std::fs::set_permissions(&copy, Permissions::from_mode(0o600)).unwrap();
    }
}

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/data-2574c51"))
}

fn token(name: &str) -> String {
    std::fs::read_to_string(fixtures().join(name)).unwrap().trim_end().to_owned()
}

/// These users and no others are listed.
async fn expect_listed(client: Client, expected: &[(i64, &str, &str)]) {
    let listed = client.list().await;
    let names: Vec<Value> =
        expected.iter().map(|(id, name, _)| json!({"id": id, "username": name})).collect();
    assert_eq!((listed.status, &listed.body), (200, &Value::Array(names)));
}

/// Every one logs in with the name as it is listed.
async fn expect_logins(client: Client, users: &[(i64, &str, &str)]) {
    for (_, name, password) in users {
        until_login_gives(client, name, password, 200).await;
    }
}

async fn expect_dead(client: Client, directory: &str, tokens: &[&str]) {
    for name in tokens {
        assert!(!client.is_alive(&token(&format!("{directory}.{name}.token"))).await, "{name}");
    }
}

#[actix_web::test]
async fn the_data_that_commit_2574c51_left_at_a_stop_are_taken_over_whole() {
    let mut system = System::on_a_copy_of(&fixtures().join("stopped"));
    let users = [
        (1, "Ada", "ada has a password"),
        (2, "José", "contraseña de José"),
        (3, "ΟΔΥΣΣΕΑΣ", "ταξίδι στην Ιθάκη"),
        (4, "Ｗｉｄｅ", "wide　as　full　width"),
        (5, "After", "renamed afterwards"),
        (6, "changed", "the second password"),
        (8, "ශ්‍රී", "sri with a joiner"),
    ];
    // Twice: what a migration writes must be good to start from as well.
    for _ in 0..2 {
        let client = system.client;
        expect_listed(client, &users).await;
        expect_logins(client, &users).await;
        for (name, password) in [
            ("before", "renamed afterwards"),
            ("changed", "the first password"),
            ("gone", "deleted afterwards"),
        ] {
            until_login_gives(client, name, password, 401).await;
        }
        // They count passwords and name no record: all die with the upgrade.
        expect_dead(client, "stopped", &["logged-out", "old-password", "deleted", "alive"]).await;
        system.restart();
    }
    assert_eq!(system.client.create("new", "a new password").await.id, 9);
    system.stop();
}

#[actix_web::test]
async fn the_data_that_commit_2574c51_left_at_a_kill_are_taken_over_with_the_unpublished_end() {
    let mut system = System::on_a_copy_of(&fixtures().join("killed"));
    let users = [
        (1, "Ada", "ada has another"),
        (2, "JOSÉ", "contraseña de José"),
        (3, "ΟΔΥΣΣΕΑΣ", "ταξίδι στην Ιθάκη"),
        (4, "Ｗｉｄｅ", "wide　as　full　width"),
        (5, "After", "renamed afterwards"),
        (6, "changed", "the second password"),
        (8, "ශ්‍රී", "sri with a joiner"),
        (9, "unpublished", "nobody was told"),
        (10, "\u{1f88}", "accepted by mistake"),
    ];
    for _ in 0..2 {
        let client = system.client;
        expect_listed(client, &users).await;
        expect_logins(client, &users).await;
        until_login_gives(client, "Ada", "ada has a password", 401).await;
        until_login_gives(client, "late", "deleted unseen", 401).await;
        expect_dead(client, "killed", &["logged-out", "old-password", "deleted", "alive"]).await;
        system.restart();
    }
    assert_eq!(system.client.create("new", "a new password").await.id, 12);
    system.stop();
}
