//! `keys`: commands to the running service.

use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Process, binary, stderr};

fn keys(data_dir: &std::path::Path, arguments: &[&str]) -> Output {
    binary().env("DATA_DIR", data_dir).arg("keys").args(arguments).output().unwrap()
}

fn listed(output: &Output) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_keys_of_the_running_service_are_listed_rotated_and_killed() {
    let directory = TempDir::new().unwrap();
    let data_dir = directory.path();
    let not_running = keys(data_dir, &["list"]);
    assert_eq!(not_running.status.code(), Some(69));
    assert!(
        stderr(&not_running).contains("the service is not running"),
        "{}",
        stderr(&not_running)
    );
    let mut process = Process::start(&directory, &[]);
    let output = std::io::BufReader::new(process.0.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(output).map_while(Result::ok);
    Process::lines_until(&mut lines, &["auth_service listens"]);
    let before = listed(&keys(data_dir, &["list", "--json"]));
    let states: Vec<_> = before.iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["signing", "next"]);
    assert_eq!((&before[0]["alg"], &before[0]["lifetime_s"]), (&"EdDSA".into(), &900.into()));
    let after = listed(&keys(data_dir, &["rotate", "--json"]));
    assert_eq!((&after[0]["kid"], &after[0]["state"]), (&before[1]["kid"], &"signing".into()));
    let kid = before[0]["kid"].as_str().unwrap();
    let killed = keys(data_dir, &["kill", kid]);
    assert_eq!(killed.status.code(), Some(0), "{}", stderr(&killed));
    let text = String::from_utf8(killed.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with(kid)).unwrap();
    assert!(line.contains("killed"), "{line}");
    let unknown = keys(data_dir, &["kill", "nonsense"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("nonsense"), "{}", stderr(&unknown));
    process.signal("TERM");
    lines.for_each(drop);
    assert_eq!(process.exit_code().await, Some(0));
    assert_eq!(keys(data_dir, &["list"]).status.code(), Some(69), "its socket is left over");
}
