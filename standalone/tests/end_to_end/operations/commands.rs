//! The blocks of shell on docs/operations.md, and running them.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::documented::OPERATIONS;
use crate::system::path_of;

/// What asks for a password: ours, and `createuser` of PostgreSQL.
const PROMPTS: [&str; 4] =
    ["New password: ", "The same again: ", "Enter password for new role: ", "Enter it again: "];

/// A block of shell.
pub(super) struct Block {
    /// The heading above it.
    pub(super) section: &'static str,
    /// The word after `sh`, which names what runs beside its commands; empty if there is none.
    pub(super) scene: &'static str,
    text: String,
}

/// All blocks of the page.
pub(super) fn blocks() -> Vec<Block> {
    let (mut found, mut section) = (Vec::new(), "");
    let mut lines = OPERATIONS.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            if let Some(scene) = language.strip_prefix("sh") {
                found.push(Block { section, scene: scene.trim(), text: text.join("\n") });
            }
        } else if line.starts_with('#') {
            section = line.trim_start_matches('#').trim();
        }
    }
    found
}

/// The commands of one scene that were not run yet, in the order of the page.
pub(super) struct Commands {
    blocks: VecDeque<Block>,
    /// Where they are run, with the data directory `data` in it.
    directory: PathBuf,
    /// What is typed where a password is asked for.
    password: &'static str,
    /// Variables of the shell.
    pub(super) variables: Vec<(&'static str, String)>,
}

impl Commands {
    pub(super) fn of(scene: &str, directory: &Path, password: &'static str) -> Self {
        fs::create_dir(directory.join("backup")).unwrap();
        // Then a request that is refused ends the block.
        fs::write(directory.join(".curlrc"), "fail\n").unwrap();
        let blocks = blocks().into_iter().filter(|block| block.scene == scene).collect();
        Self { blocks, directory: directory.to_owned(), password, variables: Vec::new() }
    }

    /// Runs the next block, which must be of this section, with these texts replaced. It must succeed and print
    /// what the page says.
    pub(super) fn run(&mut self, section: &str, replaced: &[(&str, &str)]) {
        let block = self.blocks.pop_front().unwrap();
        assert_eq!(block.section, section);
        let backup = format!("{}/backup/", self.directory.display());
        let mut text = block.text.replace(" /backup/", &format!(" {backup}"));
        for (documented, actual) in replaced {
            assert!(text.contains(documented), "{documented} is not in {text}");
            text = text.replace(documented, actual);
        }
        let screen = self.on_a_terminal(&text);
        if let Some(missing) = first_missing(&screen, &text) {
            panic!("{text}\nThis is not printed: {missing}\n{screen}");
        }
    }

    /// All of the scene were run.
    pub(super) fn end(self) {
        let left: Vec<_> = self.blocks.iter().map(|block| block.section).collect();
        assert!(left.is_empty(), "not run: {left:?}");
    }

    /// Runs it in bash, as somebody who sits at a terminal. Returns what the terminal shows.
    fn on_a_terminal(&self, text: &str) -> String {
        let programs = path_of("standalone").parent().unwrap().to_owned();
        let path = format!("{}:/usr/bin:/bin", programs.display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", "bash -euo pipefail -c \"$COMMANDS\""]);
        script.arg("/dev/null").current_dir(&self.directory).env_clear();
        script.env("PATH", path).env("HOME", &self.directory).env("SHELL", "/bin/sh");
        script.env("COMMANDS", text).envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut screen, mut some) = (String::new(), [0; 1024]);
        loop {
            let length = output.read(&mut some).unwrap();
            if length == 0 {
                break;
            }
            screen += &String::from_utf8_lossy(&some[..length]);
            if PROMPTS.iter().any(|prompt| screen.ends_with(prompt)) {
                writeln!(keys, "{}", self.password).unwrap();
            }
        }
        assert!(child.wait().unwrap().success(), "{text}\n{screen}");
        screen
    }
}

/// What follows `# → ` in the text is printed by its commands, line by line, in this order; `…` is anything.
/// Returns the first that is not on the screen.
fn first_missing<'a>(screen: &str, text: &'a str) -> Option<&'a str> {
    let mut lines = screen.lines();
    let mut documented = text.lines().filter_map(|line| line.split_once("# → "));
    let (_, missing) = documented.find(|(_, shown)| !lines.any(|line| has_parts(line, shown)))?;
    Some(missing)
}

fn has_parts(line: &str, shown: &str) -> bool {
    let mut rest = line;
    shown.split('…').all(|part| {
        let found = rest.split_once(part);
        rest = found.map_or("", |(_, after)| after);
        found.is_some()
    })
}

#[test]
fn what_the_page_says_is_looked_for_in_the_order_of_the_lines() {
    let screen = "first 1 line\nsecond line\n";
    for (text, missing) in [
        ("a  # → first … line\nb  # → second", None),
        ("a  # why\n# → first … line", None),
        ("a  # → first 2", Some("first 2")),
        ("a  # → first … second", Some("first … second")),
        ("a  # → second line\nb  # → first", Some("first")),
    ] {
        assert_eq!(first_missing(screen, text), missing, "{text}");
    }
}
