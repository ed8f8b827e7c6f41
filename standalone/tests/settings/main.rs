//! Settings as an operator gives them to the binary: empty, wrong, from files; and its signals.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic here is a failed test")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use shared::cli::command;
use standalone::cli::StandaloneBinary;
use testkit::wait::until;

mod backups;
mod check;
mod data_dir;
mod database_tls;
mod documented_commands;
mod keys;
mod limits;
mod migrate;
mod moving;
mod output;
mod page;
mod probes;
mod secret_files;
mod signals;
mod trail;
mod users;
mod values;

/// A sealing key that is valid.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standalone"));
    command.env_clear();
    command
}

/// Ports that are free at this moment.
fn free_addresses() -> [String; 2] {
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}

/// Reads the settings and finds nobody at port 1: cheap, and it does nothing.
fn read_settings(variables: &[(&str, &str)]) -> Output {
    let listen = "--user-service-listen=127.0.0.1:1";
    binary().args([listen, "healthcheck"]).envs(variables.iter().copied()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command on files has told, without its line of the audit trail.
fn stderr_without_trail(output: &Output) -> String {
    let told = stderr(output);
    let (trail, rest): (Vec<_>, Vec<_>) = told.lines().partition(|line| line.contains(" audit: "));
    assert!(trail.len() <= 1, "{told}");
    rest.join("\n")
}

#[test]
fn every_setting_may_be_empty_and_is_unset_then() {
    let command = command::<StandaloneBinary>();
    let names: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_env()).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let output = read_settings(&[(name.to_str().unwrap(), "")]);
        assert_eq!(output.status.code(), Some(1), "{name:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("does not answer"), "{name:?}: {}", stderr(&output));
    }
}

#[test]
fn every_setting_has_a_text_and_says_its_variable() {
    for arg in command::<StandaloneBinary>().get_arguments() {
        let id = arg.get_id().as_str();
        if !["help", "version"].contains(&id) {
            assert!(arg.get_help().is_some_and(|help| !help.to_string().is_empty()), "{id}");
            let variable = id.to_uppercase();
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable.as_str()));
        }
    }
}

#[test]
fn all_wrong_settings_are_told_at_once_and_nothing_is_started() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let variables = [
        ("DATA_DIR", data.to_str().unwrap()),
        ("HASH_THREADS", "0"),
        ("HTTP_WORKERS", "513"),
        ("LOG_FORMAT", "xml"),
        ("SHUTDOWN_GRACE", "10"),
        ("LOG", "info,bogus"),
        ("USER_SERVICE_LISTEN", "nowhere"),
        ("PASSWORD_MIN_CHARS", "200"),
        ("AMQP_URL_FILE", "/no/such/file"),
        ("DATABASE_URL", "mysql://u:canary@db/l"),
        ("TOKEN_LIFETIME", "25h"),
        ("ARGON2_PARALLELISM", "9999"),
    ];
    let output = binary().envs(variables).output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
    let told = stderr(&output);
    for wrong in [
        "--hash-threads",
        "--http-workers",
        "--log-format",
        "--shutdown-grace",
        "LOG must be",
        "--user-service-listen",
        "PASSWORD_MIN_CHARS is more",
        "/no/such/file",
        "DATABASE_URL: not of the form",
        "--token-lifetime",
        "8 times ARGON2_PARALLELISM",
    ] {
        assert!(told.contains(wrong), "{wrong} is not in\n{told}");
    }
    assert_eq!(told.lines().count(), 11, "{told}");
    assert!(!told.contains("canary"), "{told}");
    assert!(!data.exists(), "something was started");
}

#[test]
fn a_secret_and_its_file_exclude_each_other() {
    let urls = [("AMQP_URL", "amqp://x"), ("AMQP_URL_FILE", "/x"), ("SEALING_KEY", "x")];
    let databases = [("DATABASE_URL", "postgres://x"), ("DATABASE_URL_FILE", "/x")];
    let output =
        binary().envs(urls).envs(databases).env("SEALING_KEY_FILE", "/x").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let told = stderr(&output);
    assert!(told.contains("AMQP_URL or AMQP_URL_FILE"), "{told}");
    assert!(told.contains("SEALING_KEY or SEALING_KEY_FILE"), "{told}");
    assert!(told.contains("DATABASE_URL or DATABASE_URL_FILE"), "{told}");
    assert!(!told.contains("amqp://x") && !told.contains("postgres://x"), "a secret is told");
}

/// Ends the process whatever the test comes to.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// On names instead of addresses.
    fn start(directory: &tempfile::TempDir, settings: &[(&str, &str)]) -> Self {
        let child = binary()
            .env("DATA_DIR", directory.path())
            .env("USER_SERVICE_LISTEN", "localhost:0")
            .env("AUTH_SERVICE_LISTEN", "localhost:0")
            .env("ARGON2_MEMORY_KIB", "8")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// Reads lines until each of these texts was in one. Log lines are written a moment late, so
    /// their order and that of the greeting is not told.
    fn lines_until(lines: &mut impl Iterator<Item = String>, texts: &[&str]) -> Vec<String> {
        let mut read: Vec<String> = Vec::new();
        while !texts.iter().all(|text| read.iter().any(|line| line.contains(text))) {
            read.push(lines.next().expect("it runs"));
        }
        read
    }

    fn signal(&self, name: &str) {
        let kill = ["-c", "kill -\"$1\" \"$0\"", &self.0.id().to_string(), name];
        assert!(Command::new("/bin/sh").args(kill).status().unwrap().success());
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let bound = Duration::from_secs(30);
        until("it ends", bound, async || self.0.try_wait().unwrap()).await.code()
    }
}

#[tokio::test]
async fn with_json_each_line_of_the_output_is_json_and_names_are_good_to_listen_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(&directory, &[("LOG_FORMAT", "json")]);
    let output = process.0.stdout.take().unwrap();
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let mut read = Process::lines_until(&mut lines, &["auth_service listens"]);
    process.signal("INT");
    read.extend(lines);
    for line in &read {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_a_stop_that_waits() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(&directory, &[("SHUTDOWN_GRACE", "1h")]);
    let output = process.0.stdout.take().unwrap();
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let read = Process::lines_until(&mut lines, &["user_service listens", "Stop it with"]);
    let listens = read.iter().find(|line| line.contains("user_service listens")).unwrap();
    let address = listens.rsplit("address=").next().unwrap();
    // A request that never comes whole keeps the first stop waiting.
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = "POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
        Content-Length: 9\r\n\r\n{";
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    process.signal("TERM");
    // The first has arrived once nobody is listening any more.
    let refused = async || std::net::TcpStream::connect(address).is_err().then_some(());
    until("the first signal has arrived", Duration::from_secs(30), refused).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    process.signal("TERM");
    assert_eq!(process.exit_code().await, Some(128 + 15));
}

#[test]
fn config_tells_each_setting_and_where_it_comes_from() {
    let output = binary()
        .args(["--log=warn", "config", "--json"])
        .envs([("HASH_QUEUE", "7"), ("SEALING_KEY", KEY), ("TOKEN_ISSUER", "")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(KEY), "{text}");
    let settings: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let of = |name: &str| settings.iter().find(|setting| setting["name"] == name).unwrap().clone();
    for (name, value, source) in [
        ("LOG", "\"warn\"", "flag"),
        ("HASH_QUEUE", "\"7\"", "environment"),
        ("SEALING_KEY", "\"(not shown)\"", "environment"),
        ("DATA_DIR", "\"./data\"", "default"),
        ("HASH_THREADS", "null", "unset"),
    ] {
        let setting = of(name);
        assert_eq!(
            (setting["value"].to_string(), &setting["source"]),
            (value.into(), &source.into())
        );
    }
    assert_ne!(of("TOKEN_ISSUER")["source"], "environment", "an empty variable counts as unset");
    let command = command::<StandaloneBinary>();
    assert_eq!(
        settings.len(),
        command.get_arguments().filter(|arg| arg.get_env().is_some()).count()
    );
    let plain = binary().args(["config"]).output().unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert_eq!(plain.lines().count(), settings.len());
    assert!(plain.lines().any(|line| line.starts_with("DATA_DIR ") && line.ends_with(" default")));
}

#[test]
fn config_refuses_wrong_settings_as_a_start_does() {
    let output = binary().args(["config"]).env("HASH_QUEUE", "-1").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(78), 0));
    assert!(stderr(&output).contains("--hash-queue"), "{}", stderr(&output));
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = binary().args(["completions", shell]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["healthcheck", "completions", "data-dir"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let unknown = binary().args(["completions", "csh"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2), "{}", stderr(&unknown));
    // The syntax is that of the shell.
    let script = binary().args(["completions", "bash"]).output().unwrap().stdout;
    let mut shell = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), &script).unwrap();
    assert!(shell.wait().unwrap().success());
}
