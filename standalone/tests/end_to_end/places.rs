//! Replicas of auth_service on one data directory.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::client::Client;
use crate::journeys::until_login_gives;
use crate::system::{System, path_of};

const PASSWORD: &str = "testpassword";

fn keys(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(path_of("auth_service"));
    command.env_clear().env("DATA_DIR", data_dir).arg("keys").args(arguments);
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A live token, and one that was logged out.
async fn tokens(client: Client) -> [String; 2] {
    let [live, ended] =
        [client.token("Rosa", PASSWORD).await, client.token("Rosa", PASSWORD).await];
    assert_eq!(client.logout(&ended).await.status, 200);
    [live, ended]
}

async fn expect(client: Client, [live, ended]: &[String; 2]) {
    assert_eq!(client.verify(live).await.status, 200);
    assert_eq!(client.verify(ended).await.status, 401);
}

#[actix_web::test]
async fn replicas_on_one_data_directory_keep_what_is_theirs() {
    let mut system = System::in_two_processes().await;
    let client = system.client;
    client.create("Rosa", PASSWORD).await;
    until_login_gives(client, "Rosa", PASSWORD, 200).await;
    let first = tokens(client).await;
    let data_dir = system.data_dir();
    let (beside, other) = system.start_auth_beside();
    until_login_gives(other, "Rosa", PASSWORD, 200).await;
    let second = tokens(other).await;
    assert_eq!(
        (
            client.metric("lockstep_replica_place").await,
            other.metric("lockstep_replica_place").await
        ),
        (1, 2)
    );
    let unnamed = keys(&data_dir, &["list"]);
    assert!(!unnamed.status.success() && told(&unnamed).contains("1 or 2"), "{unnamed:?}");
    let [one, two] = ["1", "2"].map(|number| keys(&data_dir, &["--replica", number, "list"]));
    assert!(one.status.success() && two.status.success(), "{one:?} {two:?}");
    assert_ne!(one.stdout, two.stdout, "each has keys of its own");
    assert_eq!(keys(&data_dir, &["--replica", "3", "list"]).status.code(), Some(69));
    beside.kill();
    assert!(keys(&data_dir, &["list"]).status.success(), "the only one that runs");
    system.kill_and_restart();
    let (beside, other) = system.start_auth_beside();
    until_login_gives(other, "Rosa", PASSWORD, 200).await;
    expect(system.client, &first).await;
    expect(other, &second).await;
    beside.stop();
    system.stop();
}

/// Moves files of the first place to where versions without places had them.
fn move_back(data_dir: &Path, is_moved: impl Fn(&str) -> bool) {
    let place = data_dir.join("replica-1");
    for entry in fs::read_dir(&place).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if is_moved(&name) {
            fs::rename(place.join(&name), data_dir.join(&name)).unwrap();
        }
    }
}

#[actix_web::test]
async fn the_files_of_a_version_without_places_are_those_of_the_first_replica() {
    let mut system = System::in_two_processes().await;
    system.client.create("Rosa", PASSWORD).await;
    until_login_gives(system.client, "Rosa", PASSWORD, 200).await;
    let tokens = tokens(system.client).await;
    system.kill_and_restart_after(|data_dir| {
        move_back(data_dir, |name| !["auth_service.lock", "auth_service.sock"].contains(&name));
    });
    expect(system.client, &tokens).await;
    // As a process that was killed while it moved them has left them.
    system.kill_and_restart_after(|data_dir| {
        move_back(data_dir, |name| name.ends_with("-wal") || name.starts_with("signing-"));
    });
    expect(system.client, &tokens).await;
    assert!(!system.data_dir().join("tokens.db").exists());
    assert!(system.data_dir().join("sealing.key").exists());
    system.stop();
}
