//! The commands in a block of shell, as far as documents need it: quotes, comments, pipes,
//! substitutions, redirections, loops over words, and variables of one value. Nothing is run.

use std::iter::Peekable;
use std::mem::take;
use std::str::Chars;

/// The words of each command, in order. Assignments before a command and the files of redirections
/// are left out.
pub(super) fn commands(block: &str) -> Vec<Vec<String>> {
    let mut parser = Parser::default();
    parser.read(&mut without_variables(block).chars().peekable());
    parser.end_command();
    parser.commands
}

/// The block with each loop over words written out, and the variables replaced that it sets.
fn without_variables(block: &str) -> String {
    let (mut text, mut looping) = (String::new(), None);
    let mut known: Vec<(String, String)> = Vec::new();
    for line in block.replace("\\\n", " ").lines() {
        let line = known
            .iter()
            .fold(line.to_owned(), |line, (name, value)| line.replace(&format!("${name}"), value));
        let loop_over = line.strip_prefix("for ").and_then(|rest| rest.strip_suffix("; do"));
        if let Some((name, values)) = loop_over.and_then(|rest| rest.split_once(" in ")) {
            looping = Some((format!("${name}"), values.to_owned()));
        } else if line == "done" {
            looping = None;
        } else if let Some((name, values)) = &looping {
            values.split(' ').for_each(|value| text += &(line.replace(name, value) + "\n"));
        } else {
            known.extend(assignment(&line));
            text += &(line + "\n");
        }
    }
    text
}

/// Of `name='value'`, both.
fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_suffix('\'')?.split_once("='")?;
    is_name(name).then(|| (name.to_owned(), value.to_owned()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[derive(Default)]
struct Parser {
    commands: Vec<Vec<String>>,
    command: Vec<String>,
    word: Option<String>,
    /// The word is the file of a redirection.
    is_redirected: bool,
}

impl Parser {
    fn read(&mut self, text: &mut Peekable<Chars<'_>>) {
        while let Some(c) = text.next() {
            match c {
                '\'' | '"' => {
                    let word = self.word.get_or_insert_default();
                    word.extend(text.by_ref().take_while(|next| *next != c));
                }
                '#' if self.word.is_none() => while text.next_if(|next| *next != '\n').is_some() {},
                '\n' | '|' | '&' | ';' | '(' | ')' => self.end_command(),
                '<' | '>' => {
                    self.end_word();
                    self.is_redirected = true;
                }
                _ if c.is_whitespace() => self.end_word(),
                _ => self.word.get_or_insert_default().push(c),
            }
        }
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        let is_assignment = word.split_once('=').is_some_and(|(name, _)| is_name(name));
        if !take(&mut self.is_redirected) && (!is_assignment || !self.command.is_empty()) {
            self.command.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.command.is_empty() {
            self.commands.push(take(&mut self.command));
        }
    }
}

#[test]
fn the_commands_of_a_block_are_found() {
    let block = r#"
files='-f a.yml -f b.yml'
for name in one two; do
  docker-compose $files exec $name \
    tar -c "$name and more" >$name.tar
done
A=1 B="2 3" first 'a # b' | second --c="$(third)" && fourth <file # fifth
"#;
    let found: Vec<String> = commands(block).iter().map(|words| words.join("_")).collect();
    let wanted = [
        "docker-compose_-f_a.yml_-f_b.yml_exec_one_tar_-c_one and more",
        "docker-compose_-f_a.yml_-f_b.yml_exec_two_tar_-c_two and more",
        "first_a # b",
        "second_--c=$(third)",
        "fourth",
    ];
    assert_eq!(found, wanted);
}
