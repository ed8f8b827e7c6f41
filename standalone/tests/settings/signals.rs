//! How signals end the process.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::Process;

/// Runs, and has told so.
fn running(directory: &TempDir, before: &str) -> Process {
    let script = format!("{before} exec \"$0\"");
    let mut command = Command::new("/bin/sh");
    command.env_clear().args(["-c", &script, env!("CARGO_BIN_EXE_standalone")]);
    command.env("DATA_DIR", directory.path()).envs([
        ("USER_SERVICE_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
        ("ARGON2_MEMORY_KIB", "8"),
    ]);
    let mut process = Process(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut output = BufReader::new(process.0.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap().contains("Stop it with")));
    process
}

#[tokio::test]
async fn two_signals_at_once_are_one_and_a_terminal_that_hangs_up_is_one_too() {
    for signals in [["TERM", "TERM"], ["TERM", "INT"], ["HUP", "CONT"]] {
        let directory = TempDir::new().unwrap();
        // Whoever runs the tests may ignore SIGHUP (`nohup`), which processes inherit.
        let mut process = running(&directory, "exec env --default-signal=HUP \"$0\";");
        for name in signals {
            process.signal(name);
        }
        assert_eq!(process.exit_code().await, Some(0), "{signals:?}");
        let left = directory.path().join("users.db-wal");
        let left = std::fs::metadata(left).map_or(0, |metadata| metadata.len());
        assert_eq!(left, 0, "{signals:?}: the database is closed");
    }
}

#[tokio::test]
async fn with_nohup_it_outlives_the_terminal() {
    let directory = TempDir::new().unwrap();
    let mut process = running(&directory, "trap '' HUP;");
    process.signal("HUP");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(process.0.try_wait().unwrap(), None);
    process.signal("TERM");
    assert_eq!(process.exit_code().await, Some(0));
}
