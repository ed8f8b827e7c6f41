//! How far the import is, for a person.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::report::Counts;

/// How often a terminal is written to.
const ON_TERMINAL: Duration = Duration::from_millis(200);
/// How often a line is written elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(10);

/// Shows the counts on the standard error output: one line that is written over on a terminal, or a line now and
/// then.
pub(super) struct Progress {
    is_terminal: bool,
    started_at: Instant,
    shown_at: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { is_terminal: io::stderr().is_terminal(), started_at: now, shown_at: now }
    }

    pub(super) fn show(&mut self, counts: Counts) {
        let pause = if self.is_terminal { ON_TERMINAL } else { ELSEWHERE };
        if self.shown_at.elapsed() < pause {
            return;
        }
        self.shown_at = Instant::now();
        let Counts { read, created, refused, .. } = counts;
        let a_second = u128::from(read) * 1000 / self.started_at.elapsed().as_millis().max(1);
        let text = format!("{read} read, {created} created, {refused} refused, {a_second}/s");
        // Nobody may read it any more.
        let _ = if self.is_terminal {
            write!(io::stderr(), "\r\x1b[K{text}")
        } else {
            writeln!(io::stderr(), "{text}")
        };
    }

    /// Clears the line on a terminal.
    pub(super) fn end(&self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
