//! `check`: what it prints, and its exit codes.

use std::io::{self, Write};

use super::{CommandError, exit};
use crate::checking::{CheckFailed, Outcome};
use crate::telemetry::ErrorChain;

/// Prints what a check has found, and fails if something is wrong.
///
/// # Errors
/// Something is wrong, or it cannot be printed.
pub fn tell_check(outcome: &Outcome, is_json: bool) -> Result<(), CommandError> {
    let text = if is_json {
        serde_json::to_string_pretty(outcome).map_err(io::Error::from)? + "\n"
    } else {
        outcome.in_words()
    };
    io::stdout().write_all(text.as_bytes())?;
    let failed = |exit_code, what: String| {
        Err(CommandError::new(exit_code, format!("{what}; nothing was changed")))
    };
    match outcome.findings().count() {
        0 if outcome.is_not_compared() => {
            failed(exit::TEMPORARY, "the services were not compared".to_owned())
        }
        0 => Ok(()),
        1 => failed(exit::DATA, "1 problem was found".to_owned()),
        n => failed(exit::DATA, format!("{n} problems were found")),
    }
}

impl From<CheckFailed> for CommandError {
    fn from(failure: CheckFailed) -> Self {
        let message = ErrorChain(&failure).to_string();
        Self::Other { message, exit_code: failure.exit_code() }
    }
}
