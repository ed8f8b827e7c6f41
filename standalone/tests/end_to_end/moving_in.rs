//! Users of another system log in with the passwords that they had there.

use actix_web::rt::task::spawn_blocking;
use serde_json::json;

use crate::journeys::until_login_gives;
use crate::system::{System, command_on};

/// Of `testpassword`, by Django 5.2.
pub(crate) const HASH: &str =
    "pbkdf2_sha256$1000$seasalt2seasalt2$0UzTXjEhFnsMM8vqDVt0HBgg9JDl5myFf2Tqgn6bXrM=";

#[actix_web::test]
async fn an_imported_user_logs_in_and_the_hash_is_renewed() {
    let mut system = System::in_one_process();
    let users = |arguments: &[&str]| {
        let mut command = command_on(&system.data_dir());
        command.arg("users").args(arguments);
        spawn_blocking(move || command.output().unwrap())
    };
    let file = system.data_dir().join("dump.json");
    let fields = json!({"username": "anna", "password": HASH});
    std::fs::write(&file, json!([{"model": "auth.user", "pk": 1, "fields": fields}]).to_string())
        .unwrap();
    let path = file.to_str().unwrap();
    let imported = users(&["import", "--format", "django", path]).await.unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    until_login_gives(system.client, "anna", "testpassword", 200).await;
    assert_eq!(system.client.login("anna", "wrongpassword").await.status, 401);
    let is_renewed = async || {
        let exported = users(&["export", "-"]).await.unwrap().stdout;
        String::from_utf8(exported).unwrap().contains("$argon2id$v=19$m=64,").then_some(())
    };
    testkit::wait::until("a hash of ours", std::time::Duration::from_secs(30), is_renewed).await;
    until_login_gives(system.client, "anna", "testpassword", 200).await;
    system.stop();
}
