//! `backup` and `restore`: what they write, and what they refuse, with its exit code.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use std::{fs, str};

use rusqlite::Connection;
use tempfile::TempDir;
use testkit::wait::until;

use crate::{Process, binary, stderr, stderr_without_trail};

const BOUND: Duration = Duration::from_mins(1);
const FILES: [&str; 3] = ["projection.db", "tokens.db", "users.db"];

/// A data directory that was used and stopped, and the place of a backup.
struct Site(TempDir);

impl Site {
    async fn used() -> Self {
        let site = Self(TempDir::new().unwrap());
        let mut process = site.start();
        process.signal("TERM");
        assert_eq!(process.exit_code().await, Some(0));
        site
    }

    fn start(&self) -> Process {
        let data = self.path("data");
        let directory = tempfile::tempdir().unwrap();
        let mut process = Process::start(&directory, &[("DATA_DIR", data.to_str().unwrap())]);
        let output = process.0.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        Process::lines_until(&mut lines, &["Stop it with"]);
        process
    }

    fn copy(&self) -> Self {
        let copy = TempDir::new().unwrap();
        let from = self.0.path().join(".");
        let copied = Command::new("cp").arg("-a").args([&from, copy.path()]).status();
        assert!(copied.unwrap().success());
        Self(copy)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, binary: &str, arguments: [&str; 2]) -> Command {
        let path = Path::new(env!("CARGO_BIN_EXE_standalone")).with_file_name(binary);
        let mut command = Command::new(path);
        command.env_clear().env("DATA_DIR", self.path("data")).args(arguments);
        command.current_dir(self.0.path());
        command
    }

    fn run(&self, arguments: [&str; 2]) -> Output {
        self.command("standalone", arguments).output().unwrap()
    }

    fn shell(&self, script: &str) {
        let mut command = Command::new("/bin/sh");
        let status = command.args(["-ec", script]).current_dir(self.0.path()).status();
        assert!(status.unwrap().success(), "{script}");
    }

    /// The files there, without locks.
    fn names(&self, directory: &str) -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(self.path(directory)) else { return BTreeSet::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| Path::new(name).extension().is_none_or(|end| end != "lock")).collect()
    }

    fn mode(&self, name: &str) -> u32 {
        self.path(name).metadata().unwrap().permissions().mode() & 0o777
    }
}

fn expect(output: &Output, code: i32, text: &str, case: &str) {
    let told = stderr_without_trail(output);
    assert_eq!(output.status.code(), Some(code), "{case}: {told}");
    assert!(told.contains(text), "{case}: {told}");
    assert_eq!(told.lines().count(), 1, "{case}: {told}");
}

/// What was done before, the directory of the backup, the exit code, and what is told.
type Refusal = (&'static str, &'static str, i32, &'static str);

#[tokio::test]
async fn a_backup_that_cannot_be_made_leaves_nothing() {
    let used = Site::used().await;
    let cases: &[Refusal] = &[
        ("mkdir backup; touch backup/x", "backup", 73, "backup is not empty"),
        ("touch backup", "backup", 73, "Not a directory"),
        ("mkfifo backup", "backup", 73, "Not a directory"),
        ("true", "none/backup", 73, "No such file or directory"),
        ("true", "/proc/backup", 73, "cannot write /proc/backup"),
        ("true", "data/backup", 73, "is inside the data directory"),
        ("ln -s data link", "link/backup", 73, "is inside the data directory"),
        ("rm -r data", "backup", 66, "data: No such file or directory"),
        ("rm data/users.db", "backup", 66, "users.db: No such file or directory"),
        ("rm data/users.db; mkfifo data/users.db", "backup", 65, "it is a FIFO"),
        ("rm data/users.db; mkdir data/users.db", "backup", 65, "it is a directory"),
        ("head -c 9000 /dev/urandom >data/users.db", "backup", 65, "it is damaged"),
        (": >data/tokens.db", "backup", 65, "no database of this service"),
        (
            "dd if=/dev/urandom of=data/users.db bs=4096 seek=3 count=1 conv=notrunc status=none",
            "backup",
            65,
            "it is damaged",
        ),
    ];
    for (before, directory, code, text) in cases {
        let site = used.copy();
        site.shell(before);
        let names = site.names(".");
        expect(&site.run(["backup", directory]), *code, text, before);
        assert_eq!(site.names("."), names, "{before}");
        assert!(site.names("data").iter().all(|name| name != "backup"), "{before}");
    }
    let site = used.copy();
    let users = Connection::open(site.path("data/users.db")).unwrap();
    users.pragma_update(None, "user_version", 99).unwrap();
    expect(&site.run(["backup", "backup"]), 65, "a newer version", "newer");
}

#[tokio::test]
async fn a_restore_that_is_refused_writes_nothing() {
    let used = Site::used().await;
    let backed_up = used.run(["backup", "backup"]);
    assert_eq!(backed_up.status.code(), Some(0), "{}", stderr(&backed_up));
    used.shell("mv data former");
    let cases: &[Refusal] = &[
        ("true", "none", 66, "none/manifest.json: No such file or directory"),
        ("rm backup/manifest.json", "backup", 66, "manifest.json: No such file"),
        ("mkfifo fifo; mv fifo backup/manifest.json", "backup", 65, "it is a FIFO"),
        (": >backup/manifest.json", "backup", 65, "no manifest of a backup"),
        ("sed -i 's/\"format\": 1/\"format\": 2/' backup/manifest.json", "backup", 65, "format 2"),
        ("sed -i s/standalone/other/ backup/manifest.json", "backup", 65, "a backup of other"),
        ("sed -i 's|users.db|../users.db|' backup/manifest.json", "backup", 65, "other files"),
        ("rm backup/users.db", "backup", 66, "users.db: No such file or directory"),
        ("rm backup/users.db; mkfifo backup/users.db", "backup", 65, "it is a FIFO"),
        ("mv backup/users.db x; ln -s ../x backup/users.db", "backup", 65, "it is a symbolic link"),
        ("truncate -s -1 backup/users.db", "backup", 65, "bytes, not"),
        ("printf x | dd of=backup/users.db seek=9999 bs=1 conv=notrunc", "backup", 65, "SHA-256"),
        ("touch data", "backup", 73, "data"),
        ("mkdir data; touch data/users.db", "backup", 73, "data contains users.db:"),
        ("mkdir data; touch data/users.db-wal", "backup", 73, "data contains users.db-wal:"),
        ("mkdir data; cp former/*.key data", "backup", 73, "data contains signing-"),
        ("cp -a former data", "backup", 73, "projection.db, "),
    ];
    for (before, directory, code, text) in cases {
        let site = used.copy();
        site.shell(&format!("{{ {before}; }} 2>/dev/null"));
        let names = site.names("data");
        expect(&site.run(["restore", directory]), *code, text, before);
        assert_eq!(site.names("data"), names, "{before}");
    }
    let site = used.copy();
    let users = Connection::open(site.path("backup/users.db")).unwrap();
    users.pragma_update(None, "user_version", 99).unwrap();
    site.shell(
        "cd backup; listed=$(grep -o '[0-9a-f]\\{64\\}' manifest.json | tail -n 1)
         sed -i s/$listed/$(sha256sum users.db | cut -d' ' -f1)/ manifest.json",
    );
    expect(&site.run(["restore", "backup"]), 65, "a newer version", "newer");
    assert!(site.names("data").is_empty());
}

#[tokio::test]
async fn a_restore_under_a_running_service_is_refused_and_a_backup_is_made() {
    let site = Site::used().await;
    let _process = site.start();
    let backed_up = site.run(["backup", "backup"]);
    assert_eq!(backed_up.status.code(), Some(0), "{}", stderr(&backed_up));
    let expected = FILES.into_iter().chain(["manifest.json"]).map(ToOwned::to_owned).collect();
    assert_eq!(site.names("backup"), expected, "no key, nothing unfinished");
    assert_eq!(site.mode("backup"), 0o700);
    for name in expected {
        assert_eq!(site.mode(&format!("backup/{name}")), 0o600, "{name}");
    }
    expect(&site.run(["restore", "backup"]), 75, "stop the service first", "running");
}

#[test]
fn a_backup_of_files_is_refused_where_the_users_are_not_in_them() {
    let directory = tempfile::tempdir().unwrap();
    for (command, name) in [("backup", "DATABASE_URL"), ("restore", "DATABASE_URL_FILE")] {
        let url = directory.path().join("url");
        fs::write(&url, "postgres://u:canary@db/l").unwrap();
        let value =
            if name == "DATABASE_URL" { PathBuf::from("postgres://u:canary@db/l") } else { url };
        let output = binary()
            .args([command, "copy"])
            .env("DATA_DIR", directory.path().join("data"))
            .env(name, value)
            .current_dir(directory.path())
            .output()
            .unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(78), "{told}");
        assert!(told.contains("by its own means") && !told.contains("canary"), "{told}");
        assert!(!directory.path().join("copy").exists());
    }
}

#[tokio::test]
async fn each_binary_restores_what_it_has_beside_the_other() {
    let site = Site::used().await;
    for (binary, files) in [("user_service", &FILES[2..]), ("auth_service", &FILES[..2])] {
        let backed_up = site.command(binary, ["backup", binary]).arg("--json").output().unwrap();
        assert_eq!(backed_up.status.code(), Some(0), "{}", stderr(&backed_up));
        let manifest: serde_json::Value = serde_json::from_slice(&backed_up.stdout).unwrap();
        let stored = fs::read(site.path(binary).join("manifest.json")).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&stored).unwrap(), manifest);
        let listed = manifest["files"].as_array().unwrap().iter();
        assert!(listed.map(|file| file["name"].as_str().unwrap()).eq(files.iter().copied()));
        assert_eq!(manifest["log_end_seq"].is_i64(), binary == "user_service", "{manifest}");
    }
    // The sealing key may be back already.
    site.shell("mv data former; mkdir data; cp former/sealing.key data");
    let auth = site.command("auth_service", ["restore", "auth_service"]).output().unwrap();
    assert_eq!(auth.status.code(), Some(0), "{}", stderr(&auth));
    assert!(str::from_utf8(&auth.stdout).unwrap().contains("everybody logs in again"));
    assert!(!site.path("data/restored").exists(), "its log did not go back");
    let users = site.command("user_service", ["restore", "user_service"]).output().unwrap();
    assert_eq!(users.status.code(), Some(0), "{}", stderr(&users));
    let mark = fs::read_to_string(site.path("data/restored")).unwrap();
    assert!(mark.ends_with("Z\n") && mark.lines().count() == 1, "{mark:?}");
    let mut process = site.start();
    process.signal("TERM");
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test]
async fn an_interrupted_backup_leaves_nothing() {
    let site = Site::used().await;
    let users = Connection::open(site.path("data/users.db")).unwrap();
    // Copying and checking this takes seconds.
    users
        .execute_batch(
            "CREATE TABLE filler (x INTEGER PRIMARY KEY, y TEXT UNIQUE);
             WITH RECURSIVE n (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 1000000)
             INSERT INTO filler SELECT x, 'text ' || x FROM n",
        )
        .unwrap();
    let mut process = Process(
        site.command("standalone", ["backup", "backup"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let partial = site.path("backup/users.db.partial");
    until("it is copying", BOUND, async || partial.exists().then_some(())).await;
    process.signal("INT");
    assert_eq!(process.exit_code().await, Some(130));
    assert!(!site.path("backup").exists());
}

/// A small file system, mounted as long as it lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, kib: u32) -> Self {
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "lockstep-test"]).arg(&path);
        assert!(mount.status().unwrap().success(), "mounting a tmpfs needs root");
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_disk_that_gets_full_leaves_nothing_that_looks_finished() {
    let site = Site::used().await;
    assert_eq!(site.run(["backup", "backup"]).status.code(), Some(0));
    // More than the first file, less than all.
    let kib = fs::metadata(site.path("backup/projection.db")).unwrap().len() / 1024 + 16;
    let disk = SmallDisk::mount(site.path("disk"), u32::try_from(kib).unwrap());
    expect(&site.run(["backup", "disk/backup"]), 73, "full", "backup");
    assert!(!site.path("disk/backup").exists());
    let data = site.path("disk/data");
    let mut restore = binary();
    restore.args(["restore", "backup"]).env("DATA_DIR", &data).current_dir(site.0.path());
    let restored = restore.output().unwrap();
    expect(&restored, 73, "No space left", "restore");
    assert!(site.names("disk/data").is_empty());
    drop(disk);
}
