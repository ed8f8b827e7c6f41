//! Asking for a new password: never as an argument, which everybody on the machine can read.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret, SecretString};

use super::{CommandError, exit, signals};
use crate::secrets::read_secret_file;
use crate::telemetry::ErrorChain;

/// The most bytes that are read.
const BYTES_MAX: u64 = 64 * 1024;

/// Reads a new password: from this file, or else from the standard input, its first line; a person at
/// a terminal is asked twice, and what is typed is not shown.
///
/// # Errors
/// It cannot be read, or the two differ.
pub fn read_new_password(file: Option<&Path>) -> Result<SecretString, CommandError> {
    if let Some(path) = file {
        let content = read_secret_file(path)
            .map_err(|error| CommandError::new(exit::NO_INPUT, ErrorChain(&error).to_string()))?;
        return as_text(content)
            .ok_or_else(|| CommandError::new(exit::DATA, not_text(path.display())));
    }
    let cannot = |error: io::Error| {
        CommandError::new(
            exit::NO_INPUT,
            format!("cannot read the password from the standard input: {error}"),
        )
    };
    let input = io::stdin();
    if !input.is_terminal() {
        let line = read_line(&mut input.lock()).map_err(cannot)?;
        return as_text(line)
            .ok_or_else(|| CommandError::new(exit::DATA, not_text("the standard input")));
    }
    let typed = Typed::listen().map_err(cannot)?;
    let ask = |prompt| {
        typed.ask(prompt).map_err(|error| match error.kind() {
            ErrorKind::Interrupted => CommandError::new(exit::INTERRUPTED, "interrupted"),
            _ => cannot(error),
        })
    };
    let (first, again) = (ask("New password: ")?, ask("The same again: ")?);
    if first != again {
        return Err(CommandError::new(exit::DATA, "the two passwords differ; nothing was changed"));
    }
    as_text(first).ok_or_else(|| CommandError::new(exit::DATA, not_text("the password")))
}

fn not_text(what: impl std::fmt::Display) -> String {
    format!("{what}: not valid UTF-8")
}

/// Without the line's end; `None` if it is no text.
fn as_text(bytes: Vec<u8>) -> Option<SecretString> {
    // It is wiped from memory when it is dropped.
    let text = SecretString::from(String::from_utf8(bytes).ok()?);
    Some(text.expose_secret().trim_end_matches(['\r', '\n']).into())
}

fn read_line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.take(BYTES_MAX).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// What a person types, unseen.
struct Typed {
    /// Lines, or that a signal asked to stop.
    lines: Receiver<io::Result<Vec<u8>>>,
}

impl Typed {
    /// Reads on a thread of its own: a signal must not end the process before the terminal shows again
    /// what is typed.
    fn listen() -> io::Result<Self> {
        let asked = signals::listen()?;
        let (line, lines) = sync_channel(1);
        let interrupted = line.clone();
        // Nobody may wait any more when these send.
        thread::Builder::new()
            .name("keyboard".to_owned())
            .spawn(move || while line.send(read_line(&mut io::stdin().lock())).is_ok() {})?;
        thread::Builder::new().name("stop".to_owned()).spawn(move || {
            let _ = asked.blocking_recv();
            let _ = interrupted.send(Err(ErrorKind::Interrupted.into()));
        })?;
        Ok(Self { lines })
    }

    fn ask(&self, prompt: &str) -> io::Result<Vec<u8>> {
        let unseen = Unseen::begin()?;
        let mut output = io::stderr();
        output.write_all(prompt.as_bytes())?;
        output.flush()?;
        let line = self.lines.recv().unwrap_or_else(|_| Err(ErrorKind::UnexpectedEof.into()));
        drop(unseen);
        output.write_all(b"\n")?;
        line
    }
}

/// What is typed is not shown while this lives.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut without_echo = before.clone();
        without_echo.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &without_echo)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_ends_with_its_line_and_keeps_its_spaces() {
        let mut input = &b" a b \r\nnext"[..];
        let line = read_line(&mut input).unwrap();
        assert_eq!(as_text(line).unwrap().expose_secret(), " a b ");
        assert!(as_text(vec![0xff]).is_none());
    }
}
