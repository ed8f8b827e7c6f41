//! Limits of memory, threads and files, set by a shell, and by a real control group where one can be
//! made.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use testkit::service_process::ServiceProcess;
use testkit::wait::until;

#[tokio::test]
async fn idle_sockets_of_one_service_leave_the_other_and_the_databases_their_files() {
    let directory = tempfile::tempdir().unwrap();
    let workers = [("HTTP_WORKERS", "2")];
    let (process, [users, auth], log) =
        start_limited(&directory, &["ulimit -n 220"], &workers).await;
    assert!(log.iter().any(|line| line.contains("few files may be open")), "{log:?}");
    // More than there are files at all; those above the share are not accepted.
    let idle: Vec<_> = (0..400).map(|_| TcpStream::connect(&users).unwrap()).collect();
    for _ in 0..3 {
        let status = post(&auth, "/login", USER);
        assert_eq!(status, "HTTP/1.1 401 Unauthorized", "the other service works");
    }
    drop(idle);
    until("the sockets are gone", Duration::from_secs(30), async || {
        (post(&users, "/users", USER) == "HTTP/1.1 201 Created").then_some(())
    })
    .await;
    process.stop();
}

#[tokio::test]
async fn settings_that_do_not_fit_into_the_machine_are_refused_with_numbers() {
    let needs_4_tib = [("ARGON2_MEMORY_KIB", "4194304"), ("HASH_THREADS", "1024")];
    let (code, errors) = refused(&[], &needs_4_tib);
    assert_eq!(code, Some(78), "{errors}");
    assert!(errors.contains("MiB of memory are needed (1024 hashing threads with 4096 MiB"));
    let (code, errors) = refused(&["ulimit -n 320"], &[("HTTP_WORKERS", "64")]);
    assert_eq!(code, Some(78), "{errors}");
    assert!(errors.contains("704 files are needed (128 HTTP workers)"), "{errors}");
    let (code, errors) = refused(&["ulimit -n 40"], &[]);
    assert_eq!(code, Some(78), "{errors}");
    assert!(errors.contains("files are needed"), "{errors}");
}

#[tokio::test]
async fn many_workers_and_few_files_leave_both_services_working() {
    for workers in [None, Some("16"), Some("25")] {
        let directory = tempfile::tempdir().unwrap();
        let workers: Vec<_> =
            workers.map(|workers| ("HTTP_WORKERS", workers)).into_iter().collect();
        let (process, addresses, _) = start_limited(&directory, &["ulimit -n 320"], &workers).await;
        let [users, auth] = &addresses;
        let connect = |n: usize| TcpStream::connect([users, auth][n % 2]).unwrap();
        drop((0..800).map(connect).collect::<Vec<_>>());
        until("both answer", Duration::from_secs(30), async || {
            let is_created = post(users, "/users", USER) == "HTTP/1.1 201 Created";
            is_created.then_some(())
        })
        .await;
        until("the user can log in", Duration::from_secs(30), async || {
            (post(auth, "/login", USER) == "HTTP/1.1 200 OK").then_some(())
        })
        .await;
        process.stop();
    }
}

/// Needs the right to make a control group: root, and a file system of groups that can be written.
#[tokio::test]
async fn threads_fit_into_the_limits_of_a_real_control_group() {
    let Some(group) = ControlGroup::new(90 << 20, 36) else {
        eprintln!("NOT TESTED: no control group can be made here");
        return;
    };
    let enter: Vec<&str> = group.enter.iter().map(String::as_str).collect();
    let directory = tempfile::tempdir().unwrap();
    let (process, [users, _], log) = start_limited(&directory, &enter, &[]).await;
    let threads = log.iter().find(|line| line.contains("threads and connections")).unwrap();
    assert!(threads.contains("\"http_workers\":1,"), "{threads}");
    assert!(threads.contains("\"hash_threads\":1,"), "{threads}");
    assert_eq!(post(&users, "/users", USER), "HTTP/1.1 201 Created");
    process.stop();
    for (settings, expected) in [
        (("HASH_THREADS", "100"), "the process limit of the control group leaves"),
        (("HTTP_WORKERS", "32"), "the process limit of the control group leaves"),
        (("ARGON2_MEMORY_KIB", "1048576"), "the memory limit of the control group is 90 MiB"),
    ] {
        let (code, errors) = refused(&enter, &[settings]);
        assert_eq!(code, Some(78), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
}

/// A control group of this test's own, version 1 or 2.
struct ControlGroup {
    directories: Vec<PathBuf>,
    /// Shell commands by which a process enters it.
    enter: Vec<String>,
}

impl ControlGroup {
    fn new(memory: u64, processes: u64) -> Option<Self> {
        let root = PathBuf::from("/sys/fs/cgroup");
        let name = format!("lockstep-test-{}", std::process::id());
        let limits = if root.join("cgroup.controllers").exists() {
            vec![
                (root.join(&name), "memory.max", memory),
                (root.join(&name), "pids.max", processes),
            ]
        } else {
            vec![
                (root.join("memory").join(&name), "memory.limit_in_bytes", memory),
                (root.join("pids").join(&name), "pids.max", processes),
            ]
        };
        let mut group = Self { directories: Vec::new(), enter: Vec::new() };
        for (directory, file, limit) in limits {
            if !group.directories.contains(&directory) {
                std::fs::create_dir(&directory).ok()?;
                group.directories.push(directory.clone());
            }
            std::fs::write(directory.join(file), limit.to_string()).ok()?;
            group.enter.push(format!("echo $$ > {}/cgroup.procs", directory.display()));
        }
        Some(group)
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for directory in &self.directories {
            // Its processes have ended; what is left is empty, and does no harm.
            let _ = std::fs::remove_dir(directory);
        }
    }
}

const USER: &str = "{\"username\":\"testuser\",\"password\":\"testpassword\"}";

/// A shell that runs these commands and becomes the service.
fn limited(by: &str, commands: &[&str]) -> Command {
    let exec = format!("exec {by} \"$0\"");
    let script = [commands, &[exec.as_str()]].concat().join(" && ");
    let mut command = Command::new("/bin/sh");
    command.env_clear().args(["-c", &script, env!("CARGO_BIN_EXE_standalone")]);
    command
}

fn limited_settings(directory: &TempDir) -> [(&str, &str); 4] {
    [
        ("DATA_DIR", directory.path().to_str().unwrap()),
        ("USER_SERVICE_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
        ("ARGON2_ITERATIONS", "1"),
    ]
}

/// Exit code and errors of a service that these limits and settings do not let start.
fn refused(commands: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let all = [&limited_settings(&directory)[..], settings].concat();
    let output = limited("timeout 20", commands).envs(all).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Starts it within these limits; where user_service and auth_service listen, and the log until then.
async fn start_limited(
    directory: &TempDir,
    commands: &[&str],
    settings: &[(&str, &str)],
) -> (ServiceProcess, [String; 2], Vec<String>) {
    let all = [&limited_settings(directory)[..], settings].concat();
    let process = ServiceProcess::spawn(limited("", commands), &all);
    let mut log = Vec::new();
    let address = |log: &[String], service: &str| {
        let message = format!("{service} listens");
        let lines = log.iter().filter_map(|line| serde_json::from_str(line).ok());
        lines.into_iter().find_map(|line: serde_json::Value| {
            (line["message"] == *message).then(|| line["address"].as_str().map(str::to_owned))?
        })
    };
    let addresses = until("both listen", Duration::from_secs(30), async || {
        log.extend(process.take_log());
        Some([address(&log, "user_service")?, address(&log, "auth_service")?])
    })
    .await;
    (process, addresses, log)
}

/// The status line of the answer.
pub(crate) fn post(address: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}
