//! A backup of a service in use, and the service on what was restored from it.

use std::cell::Cell;
use std::path::Path;
use std::process::Output;

use actix_web::rt::task::spawn_blocking;
use futures_util::future::join;

use crate::journeys::until_login_gives;
use crate::system::{System, command_on};

const PASSWORD: &str = "testpassword";
const BEFORE: i64 = 20;

fn run(data: &Path, action: &str, backup: &Path) -> Output {
    command_on(data).args([action, "--json"]).arg(backup).output().unwrap()
}

fn expect_success(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[actix_web::test]
async fn a_backup_under_load_has_all_that_was_acknowledged_before_and_is_restored() {
    let mut system = System::in_one_process();
    let client = system.client;
    for n in 1..=BEFORE {
        client.create(&format!("before{n}"), PASSWORD).await;
    }
    until_login_gives(client, "before1", PASSWORD, 200).await;
    let token = client.token("before1", PASSWORD).await;

    let outside = tempfile::tempdir().unwrap();
    let (data, backup) = (system.data_dir(), outside.path().join("backup"));
    let (is_done, to) = (Cell::new(false), backup.clone());
    let copying = async {
        let output = spawn_blocking(move || run(&data, "backup", &to)).await.unwrap();
        is_done.set(true);
        output
    };
    let load = async {
        let mut written = 0;
        while !is_done.get() {
            client.create(&format!("during{written}"), PASSWORD).await;
            written += 1;
        }
        written
    };
    let (output, written) = join(copying, load).await;
    expect_success(&output);
    let manifest: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let log_end = manifest["log_end_seq"].as_i64().unwrap();
    assert!((BEFORE..=BEFORE + written).contains(&log_end), "{manifest}");
    client.create("after", PASSWORD).await;

    system.restart_after(|data| {
        let sealing_key = std::fs::read(data.join("sealing.key")).unwrap();
        std::fs::remove_dir_all(data).unwrap();
        expect_success(&run(data, "restore", &backup));
        std::fs::write(data.join("sealing.key"), sealing_key).unwrap();
    });
    let client = system.client;
    for n in 1..=BEFORE {
        let read = client.read(n).await;
        assert_eq!(read.body["username"], format!("before{n}"), "{read:?}");
        until_login_gives(client, &format!("before{n}"), PASSWORD, 200).await;
    }
    assert_eq!(client.login("after", PASSWORD).await.status, 401);
    assert!(!client.is_alive(&token).await, "its signing key is in no backup");
    // Each record in the log created a user.
    assert!(client.create("another", PASSWORD).await.id > log_end);
    system.stop();
}
