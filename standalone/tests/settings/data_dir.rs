//! A data directory that goes while the service runs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use testkit::wait::until;

use crate::limits::post;
use crate::{Process, binary, free_addresses};

#[tokio::test]
async fn a_data_directory_that_goes_is_noticed() {
    for how in ["rm -rf \"$0\"", "mv \"$0\" \"$0.moved\" && mkdir \"$0\""] {
        let directory = TempDir::new().unwrap();
        let data = directory.path().join("data");
        let [users, auth] = free_addresses();
        let settings = [
            ("DATA_DIR", data.to_str().unwrap()),
            ("USER_SERVICE_LISTEN", &users),
            ("AUTH_SERVICE_LISTEN", &auth),
            ("ARGON2_MEMORY_KIB", "8"),
        ];
        let child = binary().envs(settings).stdout(Stdio::piped()).spawn().unwrap();
        let mut process = Process(child);
        let mut output = BufReader::new(process.0.stdout.take().unwrap()).lines();
        assert!(output.any(|line| line.unwrap().contains("Stop it with")));
        let is_ready = || binary().envs(settings).arg("healthcheck").output().unwrap();
        until("it is ready", Duration::from_secs(30), async || {
            is_ready().status.success().then_some(())
        })
        .await;
        assert!(Command::new("/bin/sh").args(["-c", how]).arg(&data).status().unwrap().success());
        until("it is not ready, and says why", Duration::from_secs(10), async || {
            let asked = is_ready();
            let told = String::from_utf8_lossy(&asked.stderr).into_owned();
            (!asked.status.success() && told.contains("removed or replaced")).then_some(())
        })
        .await;
        let user = r#"{"username":"testuser","password":"testpassword"}"#;
        let answer = post(&users, "/users", user);
        assert!(answer.starts_with("HTTP/1.1 507 "), "{how}: {answer}");
        process.signal("TERM");
        output.for_each(drop);
        assert!(process.exit_code().await.is_some());
    }
}
