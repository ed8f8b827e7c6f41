//! The commands in the documents: the binaries take them, and the files that they name exist.
//! Nothing is run here; `end_to_end/operations.rs` runs those of docs/operations.md.

mod shell;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use auth_service::cli::AuthServiceBinary;
use clap::error::ErrorKind;
use user_service::cli::UserServiceBinary;

use super::*;

/// Options of docker-compose, and of its `exec` and `run`, that have a value of their own.
const WITH_VALUE: [&str; 6] = ["-f", "--profile", "--entrypoint", "-e", "-u", "-w"];

/// Where a command stands. A sentence may name it without its arguments.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Block,
    Sentence,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// README.md, CONTRIBUTING.md, and the pages of docs.
fn documents() -> Vec<PathBuf> {
    let pages = fs::read_dir(repository().join("docs")).unwrap();
    let mut found: Vec<PathBuf> = pages.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    found.extend(["README.md", "CONTRIBUTING.md"].map(|name| repository().join(name)));
    found
}

/// What sentences show of a service, and is no command: a line of its log.
const LOG_LINE: &str = "auth_service listens";

/// The blocks of shell, and what is marked as code in sentences.
fn shell_in(text: &str) -> Vec<(Place, String)> {
    let mut found = Vec::new();
    for (n, part) in text.split("\n```").enumerate() {
        let (language, block) = part.split_once('\n').unwrap_or_default();
        if n % 2 == 0 {
            let codes = part.split('`').skip(1).step_by(2).filter(|code| *code != LOG_LINE);
            found.extend(codes.map(|code| (Place::Sentence, code.replace('\n', " "))));
        } else if language.split(' ').next() == Some("sh") {
            found.push((Place::Block, block.to_owned()));
        }
    }
    found
}

/// What is wrong with a command, if it is one of ours; `None` if it is somebody else's.
fn problem(words: &[String], place: Place) -> Option<Result<(), String>> {
    let (name, rest) = words.split_first()?;
    let accepted = match &**name {
        "user_service" if !rest.is_empty() => parsed(command::<UserServiceBinary>(), words, place),
        "auth_service" if !rest.is_empty() => parsed(command::<AuthServiceBinary>(), words, place),
        "standalone" if !rest.is_empty() => parsed(command::<StandaloneBinary>(), words, place),
        "docker-compose" => return Some(in_containers(rest, place)),
        script if script.starts_with("scripts/") => is_executable(script),
        _ => return None,
    };
    Some(accepted)
}

/// Whether the command line is one of this binary. What its files contain is not looked at.
fn parsed(command: clap::Command, words: &[String], place: Place) -> Result<(), String> {
    let Err(error) = command.try_get_matches_from(words) else { return Ok(()) };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
        ErrorKind::MissingRequiredArgument
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if place == Place::Sentence =>
        {
            Ok(())
        }
        _ => Err(error.to_string()),
    }
}

/// The arguments of docker-compose: the files that they name, and the command for a container.
fn in_containers(arguments: &[String], place: Place) -> Result<(), String> {
    let (options, rest) = options_of(arguments);
    for (_, file) in options.iter().filter(|(option, _)| *option == "-f") {
        is_there(file)?;
    }
    let Some((subcommand, rest)) = rest.split_first() else { return Ok(()) };
    let (options, rest) = options_of(rest);
    let has_entrypoint = options.iter().any(|(option, _)| *option == "--entrypoint");
    let inside = match &**subcommand {
        "exec" => rest.get(1..).unwrap_or_default(),
        // The binary is the entrypoint of the image that has its name.
        "run" if !has_entrypoint => rest,
        _ => return Ok(()),
    };
    problem(inside, place).unwrap_or(Ok(()))
}

/// The options at the front, with their values, and what follows them.
fn options_of(mut words: &[String]) -> (Vec<(&str, &str)>, &[String]) {
    let mut options = Vec::new();
    while let [option, rest @ ..] = words
        && option.starts_with('-')
    {
        let has_value = WITH_VALUE.contains(&&**option);
        let value = if has_value { rest.first().map_or("", |value| value) } else { "" };
        options.push((&**option, value));
        words = rest.get(usize::from(has_value)..).unwrap_or_default();
    }
    (options, words)
}

fn is_there(path: &str) -> Result<(), String> {
    if repository().join(path).is_file() { Ok(()) } else { Err(format!("there is no {path}")) }
}

fn is_executable(script: &str) -> Result<(), String> {
    is_there(script)?;
    let mode = fs::metadata(repository().join(script)).unwrap().permissions().mode();
    if mode & 0o111 == 0 { Err(format!("{script} is not executable")) } else { Ok(()) }
}

/// How many commands of ours there are in a document, and what is wrong with them.
fn checked(text: &str) -> (usize, Vec<String>) {
    let mut outcomes = Vec::new();
    for (place, shell) in shell_in(text) {
        for words in shell::commands(&shell) {
            outcomes.extend(problem(&words, place).map(|outcome| (words.join(" "), outcome)));
        }
    }
    let failed = outcomes.iter().filter_map(|(line, outcome)| {
        outcome.as_ref().err().map(|reason| format!("{line}: {}", reason.trim_end()))
    });
    (outcomes.len(), failed.collect())
}

#[test]
fn the_binaries_take_every_command_that_the_documents_show() {
    let (mut all, mut wrong) = (0, Vec::new());
    for document in documents() {
        let (found, failed) = checked(&fs::read_to_string(&document).unwrap());
        all += found;
        let name = document.file_name().unwrap().to_string_lossy();
        wrong.extend(failed.iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all > 60, "only {all} commands were found");
}

#[test]
fn a_command_that_there_is_not_is_found_wherever_it_stands() {
    for wrong in [
        "user_service users creat anna",
        "user_service users create",
        "auth_service keys --replicas 2 list",
        "standalone restore",
        "A=1 user_service check --json | auth_service check --agains -",
        "docker-compose exec -T user_service user_service backups /backup/x",
        "docker-compose run --rm -T --no-deps auth_service restores /backup/x",
        "docker-compose -f docker-compose.yml -f docker-compose.none.yml up -d",
        "for service in user_service; do\n  docker-compose exec $service $service chek\ndone",
        "scripts/none.sh --rounds 1",
        "scripts/nginx.compose.conf",
    ] {
        let block = format!("text\n\n```sh\n{wrong}   # why\n```\n\ntext");
        let block = block.replace("done   # why", "done");
        assert_eq!(checked(&block).1.len(), 1, "{wrong}: {:?}", checked(&block));
    }
    let sentence = "Run `user_service\nadmin list`, or `user_service admins list`.";
    assert_eq!((checked(sentence).0, checked(sentence).1.len()), (2, 1));
}
