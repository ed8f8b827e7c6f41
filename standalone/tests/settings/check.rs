//! `check`: what it finds in databases that are really damaged, and that it changes nothing.

mod damage;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::postgres::Postgres;
use testkit::wait::until;

use self::damage::{CHANGED, SPOILT};
use crate::{Process, binary, stderr};

const FILES: [&str; 3] = ["users.db", "projection.db", "tokens.db"];
const HASH: &str =
    "pbkdf2_sha256$1000$seasalt2seasalt2$0UzTXjEhFnsMM8vqDVt0HBgg9JDl5myFf2Tqgn6bXrM=";

/// A data directory.
struct Site(TempDir);

impl Site {
    fn start(&self) -> (Process, impl Iterator<Item = String> + use<>) {
        let mut process = Process::start(&self.0, &[]);
        let output = process.0.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        Process::lines_until(&mut lines, &["Stop it with"]);
        (process, lines)
    }

    /// With three users, whom both services know.
    async fn with_users() -> Self {
        let site = Self(TempDir::new().unwrap());
        let (mut process, lines) = site.start();
        let user = |name| json!({"username": name, "password_hash": HASH}).to_string() + "\n";
        let users = ["anna", "berta", "clara"].map(user).concat();
        fs::write(site.path("users.jsonl"), users).unwrap();
        let file = site.path("users.jsonl");
        let mut import = binary();
        import.env("DATA_DIR", site.0.path()).args(["users", "import"]).arg(file);
        assert_eq!(import.output().unwrap().status.code(), Some(0));
        let running = site.check(&[]);
        expect(&running, 0, "both services have the same users after record 3", "while it runs");
        process.signal("TERM");
        lines.for_each(drop);
        assert_eq!(process.exit_code().await, Some(0));
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn copy(&self) -> Self {
        let copy = TempDir::new().unwrap();
        for file in FILES {
            fs::copy(self.path(file), copy.path().join(file)).unwrap();
        }
        Self(copy)
    }

    fn check(&self, arguments: &[&str]) -> Output {
        binary().env("DATA_DIR", self.0.path()).arg("check").args(arguments).output().unwrap()
    }

    /// The same of another binary, with this text as its input.
    fn check_with(&self, name: &str, arguments: &[&str], input: &[u8]) -> Output {
        let path = Path::new(env!("CARGO_BIN_EXE_standalone")).with_file_name(name);
        let mut command = Command::new(path);
        command.env_clear().env("DATA_DIR", self.0.path()).arg("check").args(arguments);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        // It may end without reading.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn shell(&self, script: &str) {
        let mut command = Command::new("/bin/sh");
        let status = command.args(["-ec", script]).current_dir(self.0.path()).status();
        assert!(status.unwrap().success(), "{script}");
    }

    fn sql(&self, file: &str, sql: &str) {
        Connection::open(self.path(file)).unwrap().execute_batch(sql).unwrap();
    }

    fn content(&self) -> BTreeMap<&str, Option<Vec<u8>>> {
        let read = |file: &&'static str| (*file, fs::read(self.path(file)).ok());
        FILES.iter().map(read).collect()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn expect(output: &Output, code: i32, text: &str, case: &str) {
    let told = stdout(output) + &stderr(output);
    assert_eq!(output.status.code(), Some(code), "{case}: {told}");
    assert!(told.contains(text), "{case}: {told}");
    assert!(stderr(output).lines().count() <= 1, "{case}: {told}");
}

#[tokio::test]
async fn every_damage_is_told_with_its_repair_and_nothing_is_changed() {
    let used = Site::with_users().await;
    expect(&used.check(&[]), 0, "both services have the same users", "stopped");
    for (file, sql, text) in CHANGED {
        let site = used.copy();
        site.sql(file, sql);
        let before = site.content();
        let output = site.check(&[]);
        expect(&output, 65, text, sql);
        let told = stdout(&output);
        let line = told.lines().find(|line| line.contains(text)).unwrap();
        assert!(line.contains(". To repair it: "), "{line}");
        assert!(stderr(&output).contains("nothing was changed"), "{}", stderr(&output));
        assert!(site.content() == before, "{sql}: something was changed");
    }
    for file in FILES {
        for (script, text) in SPOILT {
            let site = used.copy();
            site.shell(&script.replace("FILE", file));
            let output = site.check(&[]);
            expect(&output, 65, text, script);
            let told = stdout(&output);
            let good = told.lines().filter(|line| line.contains(": good; ")).count();
            assert_eq!(good, 2, "the others are checked all the same: {told}");
        }
        let site = used.copy();
        fs::remove_file(site.path(file)).unwrap();
        expect(&site.check(&[]), 66, "No such file or directory", file);
    }
    let nowhere = binary().env("DATA_DIR", used.path("none")).arg("check").output().unwrap();
    expect(&nowhere, 66, "cannot read", "no data directory");
    assert!(!used.path("none").exists());
}

#[tokio::test]
async fn two_processes_are_compared_by_what_the_first_has_printed() {
    let used = Site::with_users().await;
    let users = used.check_with("user_service", &["--json"], b"");
    expect(&users, 0, "\"seq\": 3", "users");
    let against = |site: &Site, text: &[u8]| {
        site.check_with("auth_service", &["--against", "-", "--json"], text)
    };
    let same = against(&used, &users.stdout);
    expect(&same, 0, "agree", "same");
    let told: Value = serde_json::from_slice(&same.stdout).unwrap();
    assert_eq!(told["agreement"], json!([{"agree": {"seq": 3}}]));
    let file = used.path("users.json");
    fs::write(&file, &users.stdout).unwrap();
    let by_name = used.check_with("auth_service", &["--against", file.to_str().unwrap()], b"");
    expect(&by_name, 0, "both services have the same users after record 3", "a file");

    let other = used.copy();
    other.sql("projection.db", "UPDATE credentials SET username = 'mallory' WHERE user_id = 1");
    expect(&against(&other, &users.stdout), 65, "does not have the users", "another name");
    let later = stdout(&users).replace("\"seq\": 3", "\"seq\": 5");
    expect(&against(&used, later.as_bytes()), 75, "not compared", "behind");
    for (text, why) in [("", "not what"), ("{\"databases\":[]}", "no place")] {
        expect(&against(&used, text.as_bytes()), 65, why, text);
    }
    let missing = used.check_with("auth_service", &["--against", "/no/such/file"], b"");
    expect(&missing, 66, "/no/such/file", "missing");
}

#[tokio::test]
async fn what_a_killed_service_has_left_is_whole() {
    let site = Site::with_users().await;
    let (mut process, _lines) = site.start();
    process.signal("KILL");
    process.exit_code().await;
    expect(&site.check(&[]), 0, "both services have the same users", "killed");
}

#[tokio::test]
async fn data_of_an_earlier_version_is_told_and_good_once_it_is_taken_over() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data-2574c51/stopped");
    let site = Site(TempDir::new().unwrap());
    for entry in fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), site.path(entry.file_name().to_str().unwrap())).unwrap();
    }
    site.shell("chmod 600 *");
    expect(&site.check(&[]), 65, "users.db: an earlier version", "before");
    let (mut process, lines) = site.start();
    expect(&site.check(&[]), 0, "both services have the same users", "running");
    process.signal("TERM");
    lines.for_each(drop);
    assert_eq!(process.exit_code().await, Some(0));
    expect(&site.check(&[]), 0, "both services have the same users", "stopped");
}

#[tokio::test]
async fn an_interrupted_check_says_so() {
    let used = Site::with_users().await;
    // Checking this takes seconds.
    used.sql(
        "users.db",
        "CREATE TABLE filler (x INTEGER PRIMARY KEY, y TEXT UNIQUE);
         WITH RECURSIVE n (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 1000000)
         INSERT INTO filler SELECT x, 'text ' || x FROM n",
    );
    let mut command = binary();
    command.env("DATA_DIR", used.0.path()).arg("check").stderr(Stdio::piped());
    let mut process = Process(command.spawn().unwrap());
    let status = format!("/proc/{}/status", process.0.id());
    // SIGINT has the number 2.
    let listens = async || {
        let status = fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        (u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0).then_some(())
    };
    until("it listens to signals", Duration::from_secs(10), listens).await;
    process.signal("INT");
    assert_eq!(process.exit_code().await, Some(130));
}

#[actix_web::test]
async fn users_in_postgresql_are_checked_as_well() {
    let (mut server, site) = (Postgres::start().await, Site(TempDir::new().unwrap()));
    let url = format!("--database-url={}", server.url());
    let run = |name: &str| {
        let path = Path::new(env!("CARGO_BIN_EXE_standalone")).with_file_name("user_service");
        let mut command = Command::new(path);
        command.env_clear().env("DATA_DIR", site.0.path()).args([&url, name]).output().unwrap()
    };
    expect(&run("check"), 65, "the tables of Lockstep are not there", "empty");
    assert_eq!(run("migrate").status.code(), Some(0));
    expect(&run("check"), 0, "the database of DATABASE_URL: good; 0 users", "migrated");
    let place = "decode(repeat('00', 24), 'hex')";
    for (sql, undo, text) in [
        (
            &*format!("INSERT INTO users VALUES (7, 'eve', 'eve', 'x', 1, 1, {place}, {place})"),
            "DELETE FROM users",
            "user 7 has a higher id than 0",
        ),
        (
            "UPDATE log_state SET checksum = decode(repeat('07', 16), 'hex')",
            "UPDATE log_state SET checksum = decode(repeat('00', 16), 'hex')",
            "the stored checksum of the users is 0707",
        ),
        (
            "INSERT INTO user_log VALUES (1, decode(repeat('07', 16), 'hex'), 0, 'user.created.v1', NULL, '{}')",
            "DELETE FROM user_log",
            "the hash of record 1",
        ),
        (
            "UPDATE lockstep_schema SET version = version + 90",
            "UPDATE lockstep_schema SET version = version - 90",
            "newer",
        ),
        (
            "UPDATE lockstep_schema SET version = version - 1",
            "UPDATE lockstep_schema SET version = version + 1",
            "earlier",
        ),
    ] {
        server.sql(sql);
        expect(&run("check"), 65, text, sql);
        server.sql(undo);
    }
    expect(&run("check"), 0, "good", "undone");
    server.stop().await;
    expect(&run("check"), 75, "PostgreSQL", "unreachable");
}
