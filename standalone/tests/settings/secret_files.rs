//! Files of secrets, keys and databases that are something else: each is told, with its path, before
//! anything is started or waits.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{KEY, Process, binary, stderr};

/// Exit code and errors of a start that fails.
fn refused(directory: &Path, settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = binary_within_20_s()
        .env("DATA_DIR", directory)
        .envs([("USER_SERVICE_LISTEN", "127.0.0.1:0"), ("AUTH_SERVICE_LISTEN", "127.0.0.1:0")])
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    (output.status.code(), stderr(&output))
}

fn binary_within_20_s() -> Command {
    let mut command = Command::new("/usr/bin/timeout");
    command.env_clear().args(["20", env!("CARGO_BIN_EXE_standalone")]);
    command
}

fn fifo(directory: &TempDir) -> PathBuf {
    let path = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn a_file_of_a_secret_that_is_something_else_is_told_with_the_other_settings() {
    let directory = TempDir::new().unwrap();
    let large = directory.path().join("large");
    fs::write(&large, vec![b'A'; 70_000]).unwrap();
    let (fifo, data) = (fifo(&directory), directory.path().join("data"));
    let paths =
        [(&*fifo, "a FIFO"), (directory.path(), "a directory"), (&large, "more than 64 KiB")];
    for (path, what) in paths {
        for name in ["SEALING_KEY_FILE", "AMQP_URL_FILE"] {
            let settings = [(name, path.to_str().unwrap()), ("HASH_THREADS", "0")];
            let (code, told) = refused(&data, &settings);
            assert_eq!(code, Some(78), "{told}");
            let line = told.lines().find(|line| line.contains(what)).unwrap_or_default();
            assert!(line.contains(path.to_str().unwrap()), "{told}");
            assert!(told.contains("--hash-threads") && told.lines().count() == 2, "{told}");
        }
    }
    assert!(!data.exists(), "something was started");
}

#[test]
fn keys_and_urls_that_are_none_are_told_with_their_place_and_without_their_text() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("secret");
    let (path, data) = (file.to_str().unwrap(), directory.path().join("data"));
    let cut = &KEY[..42];
    let only_unseals = format!("unseal-only {KEY}");
    let (marked, padded) = (format!("\u{feff}{KEY}"), format!("{KEY}="));
    let other_alphabet = KEY.replacen('A', "+", 1);
    fs::write(&file, "\n").unwrap();
    let (code, told) = refused(&data, &[("SEALING_KEY_FILE", path)]);
    assert!(code == Some(78) && told.contains(path), "{told}");
    for bad in [&*marked, cut, &padded, &other_alphabet, &only_unseals] {
        fs::write(&file, bad).unwrap();
        let settings = [[("SEALING_KEY_FILE", path)], [("SEALING_KEY", bad)]];
        for (setting, place) in settings.iter().zip([path, "SEALING_KEY"]) {
            let (code, told) = refused(&data, setting);
            assert_eq!(code, Some(78), "{bad:?}: {told}");
            assert!(told.contains(place) && told.contains("base64url"), "{told}");
            assert!(!told.contains(cut) && told.lines().count() == 1, "{told}");
        }
    }
    for bad in ["amqp//user:very-secret@host", "", "\u{feff}amqp://a:very-secret@b"] {
        fs::write(&file, bad).unwrap();
        let (code, told) = refused(&data, &[("AMQP_URL_FILE", path)]);
        assert_eq!(code, Some(78), "{bad:?}: {told}");
        assert!(told.contains(path) && told.contains("amqp://user:"), "{told}");
        assert!(!told.contains("very-secret"), "{told}");
    }
}

#[test]
fn a_damaged_file_is_told_with_its_path_and_what_to_do() {
    for (name, what) in [
        ("users.db", "restore users.db from a backup"),
        ("projection.db", "delete projection.db"),
        ("tokens.db", "restore tokens.db from a backup, or delete it"),
    ] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, vec![b'x'; 8192]).unwrap();
        let (code, told) = refused(directory.path(), &[]);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(path.to_str().unwrap()) && told.contains(what), "{told}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let (code, told) = refused(directory.path(), &[]);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(path.to_str().unwrap()) && told.contains("a directory"), "{told}");
    }
}

#[tokio::test]
async fn a_signing_key_that_is_none_is_told_with_its_path_and_what_to_do() {
    let directory = TempDir::new().unwrap();
    let mut process = Process::start(&directory, &[]);
    let output = std::io::BufReader::new(process.0.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(output).map_while(Result::ok);
    Process::lines_until(&mut lines, &["auth_service listens"]);
    process.signal("TERM");
    lines.for_each(drop);
    assert_eq!(process.exit_code().await, Some(0));
    let mut files = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path());
    let key = files.find(|path| path.to_str().unwrap().contains("/signing-")).unwrap();
    fs::write(&key, "very-secret").unwrap();
    let (code, told) = refused(directory.path(), &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(key.to_str().unwrap()) && told.contains("delete it"), "{told}");
    assert!(!told.contains("very-secret"), "{told}");
}

#[tokio::test]
async fn a_url_that_everybody_can_read_gets_a_warning() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("url");
    fs::write(&file, "amqp://user:password@127.0.0.1:1").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = binary();
    command.env("DATA_DIR", directory.path().join("data")).env("AMQP_URL_FILE", &file).envs([
        ("USER_SERVICE_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
        ("ARGON2_MEMORY_KIB", "8"),
    ]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut process = Process(child);
    let output = std::io::BufReader::new(process.0.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(output).map_while(Result::ok);
    let read = Process::lines_until(&mut lines, &["auth_service listens"]);
    let warning = read.iter().find(|line| line.contains("can read this secret")).unwrap();
    assert!(warning.contains(file.to_str().unwrap()) && warning.contains("0644"), "{warning}");
    process.signal("TERM");
    // Its last lines are read, or it could not write them.
    lines.for_each(drop);
    assert_eq!(process.exit_code().await, Some(0));
}
