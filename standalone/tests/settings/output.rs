//! An output that nobody reads, or that takes nothing: what is printed there is lost, and nothing
//! else.

use std::fs::OpenOptions;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use testkit::wait::until;

use crate::{Process, binary, free_addresses};

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads any more.
fn closed_pipe() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

#[tokio::test]
async fn services_go_on_when_nothing_can_be_printed() {
    for output in [full, closed_pipe] {
        let directory = TempDir::new().unwrap();
        let [users, auth] = free_addresses();
        let settings = [
            ("DATA_DIR", directory.path().to_str().unwrap()),
            ("USER_SERVICE_LISTEN", &users),
            ("AUTH_SERVICE_LISTEN", &auth),
        ];
        let child = binary().envs(settings).stdout(output()).stderr(output()).spawn().unwrap();
        let mut process = Process(child);
        let is_ready = async || {
            let mut ask = binary();
            let asked = ask.envs(settings).arg("healthcheck").stderr(Stdio::null()).status();
            asked.unwrap().success().then_some(())
        };
        until("it serves", Duration::from_secs(30), is_ready).await;
        // The greeting comes after both services listen.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(process.0.try_wait().unwrap(), None, "it goes on");
        process.signal("TERM");
        assert_eq!(process.exit_code().await, Some(0));
    }
}

#[test]
fn wrong_settings_have_their_exit_code_when_nothing_can_be_printed() {
    for output in [full, closed_pipe] {
        let mut command = binary();
        command.env("HASH_THREADS", "0").stdout(output()).stderr(output());
        assert_eq!(command.status().unwrap().code(), Some(78));
    }
}
