//! The audit trail of commands that work on files, while no service runs.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// What the command was told to do, as whom, and what came of it.
struct Told {
    code: Option<i32>,
    pid: u32,
    stderr: String,
}

fn run(in_directory: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Told {
    let path = Path::new(env!("CARGO_BIN_EXE_standalone")).with_file_name("user_service");
    let mut command = Command::new(path);
    command.env_clear().current_dir(in_directory).envs(settings.iter().copied()).args(arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    Told { code: output.status.code(), pid, stderr: stderr(&output) }
}

impl Told {
    /// Its only line of the trail.
    fn line(&self) -> Value {
        let lines = self.stderr.lines().filter_map(|line| serde_json::from_str(line).ok());
        let lines: Vec<Value> = lines.collect();
        assert_eq!(lines.len(), 1, "{}", self.stderr);
        let line = &lines[0];
        assert_eq!((&line["target"], &line["level"]), (&json!("audit"), &json!("INFO")), "{line}");
        line.clone()
    }
}

#[test]
fn commands_on_files_tell_who_did_what_with_which_outcome() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("no database"), "but a letter").unwrap();
    let uid = directory.path().metadata().unwrap().uid();
    for (data_dir, arguments, code, event) in [
        ("data", &["migrate"][..], 0, "data.migrate"),
        ("data", &["backup", "copy"], 0, "data.backup"),
        ("data", &["backup", "copy"], 73, "data.backup"),
        ("data", &["restore", "copy"], 73, "data.restore"),
        ("new", &["restore", "copy"], 0, "data.restore"),
        ("data", &["move", "--from", "data/users.db", "--to", "moved/users.db"], 0, "data.move"),
        ("data", &["move", "--from", "data/users.db", "--to", "no database"], 78, "data.move"),
    ] {
        let settings = [("DATA_DIR", data_dir), ("LOG_FORMAT", "json")];
        let told = run(directory.path(), &settings, arguments);
        assert_eq!(told.code, Some(code), "{arguments:?}: {}", told.stderr);
        let line = told.line();
        let outcome = if code == 0 { "success" } else { "failure" };
        assert_eq!((&line["event.name"], &line["event.outcome"]), (&json!(event), &json!(outcome)));
        assert_eq!(line["error.message"].is_string(), code != 0, "{line}");
        let is_copy = arguments.contains(&"copy");
        let copy = json!(directory.path().join("copy"));
        assert_eq!(line["file.path"], if is_copy { copy } else { Value::Null });
        assert_eq!(line["actor.kind"], "operator");
        let process = (&line["process.user.id"], &line["process.pid"]);
        assert_eq!(process, (&json!(uid), &json!(told.pid)));
    }
}

#[test]
fn the_line_obeys_the_settings_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let migrated = |log| run(directory.path(), &[("DATA_DIR", "data"), ("LOG", log)], &["migrate"]);
    let text = migrated("info").stderr;
    assert!(text.contains("  INFO audit: event.name=\"data.migrate\""), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for silent in ["warn", "info,audit=off"] {
        assert_eq!(migrated(silent).stderr, "");
    }
    let settings = [("DATA_DIR", "data"), ("LOG", "bogus")];
    let refused = run(directory.path(), &settings, &["backup", "copy"]);
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    assert!(!directory.path().join("copy").exists(), "nothing is done without a line");
}
