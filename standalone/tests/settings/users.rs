//! `users`: commands to the running service.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Process, binary, stderr};

/// Django's, with few iterations.
const HASH: &str =
    "pbkdf2_sha256$1000$seasalt2seasalt2$0UzTXjEhFnsMM8vqDVt0HBgg9JDl5myFf2Tqgn6bXrM=";

/// A running service, and files beside its data.
struct Site {
    directory: TempDir,
    _process: Process,
    _lines: Box<dyn Iterator<Item = String>>,
}

impl Site {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let mut process = Process::start(&directory, &[]);
        let output = process.0.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        Process::lines_until(&mut lines, &["Stop it with"]);
        Self { directory, _process: process, _lines: Box::new(lines) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn users(&self, arguments: &[&str]) -> Output {
        users(self.directory.path(), arguments)
    }

    /// The counts of an import; its exit code.
    fn import(&self, file: &Path, more: &[&str]) -> (Value, Option<i32>) {
        let arguments = [&["import", "--json", file.to_str().unwrap()], more].concat();
        let output = self.users(&arguments);
        let counts = serde_json::from_slice(&output.stdout);
        assert!(counts.is_ok(), "{}", stderr(&output));
        (counts.unwrap(), output.status.code())
    }

    fn names(&self) -> Vec<String> {
        let output = self.users(&["list", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let lines = String::from_utf8(output.stdout).unwrap();
        let name = |line: &str| serde_json::from_str::<Value>(line).unwrap()["username"].clone();
        lines.lines().map(|line| name(line).as_str().unwrap().to_owned()).collect()
    }
}

fn users(data_dir: &Path, arguments: &[&str]) -> Output {
    binary().env("DATA_DIR", data_dir).arg("users").args(arguments).output().unwrap()
}

fn line(username: &str) -> String {
    json!({"username": username, "password_hash": HASH}).to_string() + "\n"
}

fn counts(created: u64, present: u64, taken: u64, refused: u64, is_dry_run: bool) -> Value {
    json!({"read": created + present + taken + refused, "created": created,
        "present_with_this_hash": present, "present_with_another_hash": taken, "refused": refused,
        "dry_run": is_dry_run, "complete": true})
}

#[test]
fn an_import_creates_each_user_once_and_says_what_it_refused_and_where() {
    let site = Site::start();
    let many: String = (0..600).map(|n| line(&format!("user{n}"))).collect();
    let bad = json!({"username": "dora", "password_hash": "$1$a$b"}).to_string();
    let other = json!({"username": "USER7", "password_hash": HASH.replace("1000", "1001")});
    let text = format!("{many}{}not JSON\n{bad}\n{other}\n", line("a b"));
    let file = site.write("users.jsonl", &text);
    let errors = site.path("errors.jsonl");
    let with_errors = ["--errors", errors.to_str().unwrap()];

    let (dry, code) = site.import(&file, &["--dry-run"]);
    // Whether a name comes twice in the file, only an import finds out.
    assert_eq!((dry, code), (counts(601, 0, 0, 3, true), Some(65)));
    assert_eq!(site.names(), [""; 0]);

    let (first, code) = site.import(&file, &with_errors);
    assert_eq!((first, code), (counts(600, 0, 1, 3, false), Some(65)));
    let noted = fs::read_to_string(&errors).unwrap();
    let noted: Vec<Value> = noted.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let brief = |entry: &Value| (entry["line"].as_u64().unwrap(), entry["outcome"].to_string());
    let mut brief: Vec<_> = noted.iter().map(brief).collect();
    brief.sort();
    let refused = || "\"refused\"".to_owned();
    assert_eq!(
        brief,
        [(601, refused()), (602, refused()), (603, refused()), (604, "\"present\"".to_owned())]
    );
    assert!(noted.iter().all(|entry| !entry.to_string().contains('$')), "a hash is told");
    assert_eq!(fs::metadata(&errors).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(site.names().len(), 600);

    let (second, _) = site.import(&file, &[]);
    assert_eq!(second, counts(0, 600, 1, 3, false), "it goes on where the first has stopped");
}

#[test]
fn a_file_that_is_cut_off_gives_its_whole_users_and_a_second_run_the_rest() {
    let site = Site::start();
    let user = |name: &str| {
        let fields = json!({"username": name, "password": HASH});
        json!({"model": "auth.user", "pk": 1, "fields": fields})
    };
    let whole = json!([user("anna"), user("bert"), user("carl")]).to_string();
    let file = site.write("dump.json", &whole[..whole.len() - 40]);
    let arguments = ["import", "--format", "django", file.to_str().unwrap()];
    let output = site.users(&arguments);
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("cut off"), "{}", stderr(&output));
    fs::write(&file, &whole).unwrap();
    let (rest, code) = site.import(&file, &["--format", "django"]);
    assert_eq!(
        rest["created"].as_u64().unwrap() + rest["present_with_this_hash"].as_u64().unwrap(),
        3
    );
    assert_eq!(code, Some(0));
    assert_eq!(site.names(), ["anna", "bert", "carl"]);
}

#[test]
fn what_is_exported_can_be_imported_elsewhere() {
    let site = Site::start();
    let text: String = (0..300).map(|n| line(&format!("user{n}"))).collect();
    site.import(&site.write("users.jsonl", &text), &[]);
    let export = site.path("export.jsonl");
    let output = site.users(&["export", export.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::metadata(&export).unwrap().permissions().mode() & 0o777, 0o600);
    let other = Site::start();
    assert_eq!(other.import(&export, &[]), (counts(300, 0, 0, 0, false), Some(0)));
    assert_eq!(other.names(), site.names());
    let again = other.users(&["export", "-"]);
    assert_eq!(again.stdout, fs::read(&export).unwrap());
    let bare = String::from_utf8(other.users(&["export", "--without-hashes", "-"]).stdout).unwrap();
    assert_eq!(bare.lines().next(), Some(r#"{"id":1,"username":"user0"}"#));
    assert!(!bare.contains('$'));
}

#[test]
fn bad_places_are_told_with_the_exit_codes_of_sysexits() {
    let site = Site::start();
    let file = site.write("users.jsonl", &line("anna"));
    let file = file.to_str().unwrap();
    let directory = site.directory.path().to_str().unwrap();
    let missing = site.path("no/such/file");
    let missing = missing.to_str().unwrap();
    for (arguments, code) in [
        (&["import", missing][..], 66),
        (&["import", directory], 66),
        (&["import", "--errors", missing, file], 73),
        (&["import", "--errors", "/dev/full", "--format", "csv", file], 65),
        (&["import", "--format", "firebase", file], 65),
        (&["import", "--format", "firebase", "--firebase-hash-config", missing, file], 66),
        (&["import", "--format", "firebase", "--firebase-hash-config", file, file], 65),
        (&["import", "--format", "xml", file], 2),
        (&["export", missing], 73),
    ] {
        let output = site.users(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(site.names(), [""; 0]);
    let bad = site.write("bad.jsonl", "not JSON\n");
    let output = site.users(&["import", "--errors", "/dev/full", bad.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(73), "{}", stderr(&output));
    let nobody = TempDir::new().unwrap();
    assert_eq!(users(nobody.path(), &["import", file]).status.code(), Some(69));
    assert_eq!(users(nobody.path(), &["list"]).status.code(), Some(69));
}

#[tokio::test]
async fn an_interrupted_import_leaves_whole_users_and_is_run_again() {
    let site = Site::start();
    let mut command = binary();
    command.env("DATA_DIR", site.directory.path()).args(["users", "import", "--json", "-"]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut importing = Process(piped.spawn().unwrap());
    let mut input = importing.0.stdin.take().unwrap();
    let mut text: String = (0..600).map(|n| line(&format!("user{n}"))).collect();
    input.write_all(text.as_bytes()).unwrap();
    let created = async || (site.names().len() == 512).then_some(());
    testkit::wait::until("two groups", Duration::from_mins(1), created).await;
    importing.signal("INT");
    for n in 600.. {
        let more = line(&format!("user{n}"));
        text.push_str(&more);
        // It reads on until it hears the signal, and then ends.
        if input.write_all(more.as_bytes()).is_err() {
            break;
        }
    }
    assert_eq!(importing.exit_code().await, Some(130));
    let before = site.names().len() as u64;
    let all = text.lines().count() as u64;
    assert!((512..all).contains(&before), "{before} of {all}");
    let file = site.write("users.jsonl", &text);
    assert_eq!(site.import(&file, &[]), (counts(all - before, before, 0, 0, false), Some(0)));
}

/// `users create` with this input.
fn create(data_dir: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = binary();
    command.env("DATA_DIR", data_dir).args(["users", "create"]).args(arguments);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn a_user_is_created_with_a_password_from_a_pipe_or_a_file_and_refused_in_words() {
    let site = Site::start();
    let data_dir = site.directory.path();
    let created = create(data_dir, &["Anna", "--json"], b"correct horse\nignored\n");
    assert_eq!(created.status.code(), Some(0), "{}", stderr(&created));
    let user: Value = serde_json::from_slice(&created.stdout).unwrap();
    assert_eq!(user, json!({"id": 1, "username": "Anna"}));
    let file = site.write("password", "correct horse\n");
    let from_file = create(data_dir, &["-b-", "--password-file", file.to_str().unwrap()], b"");
    assert_eq!(String::from_utf8_lossy(&from_file.stdout), "         2  -b-\n");
    for (name, password, code, why) in [
        ("anna", "correct horse", 65, "the name is taken"),
        ("a b", "correct horse", 65, "the name "),
        ("carl", "short", 65, "the password must have at least 8 characters"),
        ("carl", "password123", 65, "the password "),
        ("carl", "", 65, "the password must have at least"),
        ("carl", "\u{1}correct horse", 65, "control characters"),
    ] {
        let output = create(data_dir, &[name], password.as_bytes());
        let told = stderr(&output);
        assert_eq!((output.status.code(), told.lines().count()), (Some(code), 1), "{told}");
        assert!(told.contains(why) && !told.contains("horse"), "{told}");
    }
    let not_utf8 = create(data_dir, &["carl"], b"\xff correct horse");
    assert_eq!(not_utf8.status.code(), Some(65), "{}", stderr(&not_utf8));
    let missing = create(data_dir, &["carl", "--password-file", "/no/such/file"], b"");
    assert_eq!(missing.status.code(), Some(66), "{}", stderr(&missing));
    assert_eq!(site.names(), ["Anna", "-b-"]);
    let nobody = create(&site.path("none"), &["carl"], b"correct horse");
    assert_eq!(nobody.status.code(), Some(69), "{}", stderr(&nobody));
}

#[test]
fn a_password_is_asked_for_unseen_and_an_interruption_leaves_the_terminal_as_it_was() {
    // A terminal of its own, on which the shell tells afterwards how it is set. The key that
    // interrupts goes to the shell as well: with a trap it outlives it, whichever shell it is.
    let binary = env!("CARGO_BIN_EXE_standalone");
    let command = format!("trap : INT; {binary} users create anna; echo code $?; stty -a");
    let mut script = std::process::Command::new("script");
    script.env("SHELL", "/bin/sh").args(["--quiet", "--command", &command, "/dev/null"]);
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = String::new();
    let mut show_until = |text: &str| {
        while !shown.contains(text) {
            let mut some = [0; 256];
            let length = screen.read(&mut some).unwrap();
            assert!(length > 0, "{text} is not in {shown}");
            shown += &String::from_utf8_lossy(&some[..length]);
        }
        shown.clone()
    };
    show_until("New password: ");
    keys.write_all(b"secret words\n").unwrap();
    show_until("The same again: ");
    keys.write_all(b"\x03").unwrap();
    let shown = show_until(" echo ");
    assert!(shown.contains("interrupted") && shown.contains("code 130"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    drop(keys);
    child.wait().unwrap();
}
