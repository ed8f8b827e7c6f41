//! `completions`: a script for a shell, made from the description of the command line.

use std::io::{self, Write};

use clap_complete::{Shell, generate};

use super::{Application, command};

/// Prints the script.
///
/// # Errors
/// The output cannot be written.
pub(super) fn print<A: Application>(shell: Shell) -> io::Result<()> {
    // It panics if it cannot write: it writes to memory.
    let mut script = Vec::new();
    generate(shell, &mut command::<A>(), A::NAME, &mut script);
    io::stdout().write_all(&script)
}
