//! What became of the users.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::super::formats::Place;
use crate::admin::Fate;

/// How many lines go to the standard error output, if no file is given.
const SHOWN_MAX: u64 = 20;

/// How many users came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) read: u64,
    pub(super) created: u64,
    /// With the same name and hash.
    pub(super) present: u64,
    /// With the same name and another hash.
    pub(super) taken: u64,
    pub(super) refused: u64,
}

/// Counts the users, and writes down those who were not created for a reason that may matter.
pub(super) struct Report {
    pub(super) counts: Counts,
    file: Option<BufWriter<File>>,
    shown: u64,
}

impl Report {
    /// # Errors
    /// The file cannot be written.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let options = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options
        };
        let file = path.map(|path| options().open(path)).transpose()?;
        Ok(Self { counts: Counts::default(), file: file.map(BufWriter::new), shown: 0 })
    }

    /// # Errors
    /// The line cannot be written.
    pub(super) fn note(
        &mut self,
        place: Place,
        username: Option<&str>,
        fate: &Fate,
    ) -> io::Result<()> {
        let counts = &mut self.counts;
        counts.read += 1;
        let (count, reason) = match fate {
            Fate::Created => (&mut counts.created, None),
            Fate::Present => (&mut counts.present, None),
            Fate::Taken => {
                let reason = "a user with this name is there, with another hash: somebody else, or \
                              the same user after a login";
                (&mut counts.taken, Some(reason))
            }
            Fate::Refused(reason) => (&mut counts.refused, Some(reason.as_str())),
        };
        *count += 1;
        match reason {
            Some(reason) => self.write(place, username, reason, *fate == Fate::Taken),
            None => Ok(()),
        }
    }

    fn write(
        &mut self,
        place: Place,
        username: Option<&str>,
        reason: &str,
        is_taken: bool,
    ) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            let (Place::Line(number) | Place::Entry(number)) = place;
            let kind = if matches!(place, Place::Line(_)) { "line" } else { "entry" };
            let outcome = if is_taken { "present" } else { "refused" };
            let line =
                json!({ kind: number, "username": username, "outcome": outcome, "reason": reason });
            return writeln!(file, "{line}");
        }
        self.shown += 1;
        let mut output = io::stderr().lock();
        match self.shown {
            // Debug: a name from a file may contain anything.
            ..=SHOWN_MAX => writeln!(output, "{place}: {:?} {reason}", username.unwrap_or("")),
            n if n == SHOWN_MAX + 1 => {
                writeln!(output, "and more: give a file with --errors for all of them")
            }
            _ => Ok(()),
        }
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.flush(),
            None => Ok(()),
        }
    }
}

impl Counts {
    /// Those whom the service has looked at.
    pub(super) fn sent(self) -> u64 {
        self.created + self.present + self.taken
    }

    pub(super) fn to_json(self, is_dry_run: bool, is_complete: bool) -> Value {
        let Self { read, created, present, taken, refused } = self;
        json!({
            "read": read,
            "created": created,
            "present_with_this_hash": present,
            "present_with_another_hash": taken,
            "refused": refused,
            "dry_run": is_dry_run,
            "complete": is_complete,
        })
    }

    pub(super) fn to_text(self, is_dry_run: bool) -> String {
        let Self { read, created, present, taken, refused } = self;
        let created_text = if is_dry_run { "would be created" } else { "created" };
        format!(
            "{read:>10} read\n{created:>10} {created_text}\n{present:>10} there already\n\
             {taken:>10} there already, with another hash\n{refused:>10} refused\n"
        )
    }
}
