//! The files that users come in.
//!
//! All are read as a stream: at most one user, or one line, is in memory.

mod auth0;
mod csv;
mod django;
mod firebase;
mod json_stream;
mod keycloak;
mod lines;
mod own;

use std::fmt;
use std::io::BufRead;

use clap::ValueEnum;
use serde_json::Value;

use crate::admin::NewUser;

pub(super) use self::firebase::{HashConfig, NoHashConfig};

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// JSON lines with username and password_hash, as `users export` writes them
    Jsonl,
    /// CSV with a header, of whose columns username and password_hash are read
    Csv,
    /// The JSON of `kc.sh export --realm REALM --users realm_file`, or one of its users files
    Keycloak,
    /// The lines of JSON that Auth0 exports on request, or in the form of its bulk import
    Auth0,
    /// The JSON of `manage.py dumpdata auth.user`
    Django,
    /// The JSON of `firebase auth:export`; needs --firebase-hash-config
    Firebase,
}

/// Where in the file a user is, for a person who looks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The line, from 1.
    Line(u64),
    /// The number of the entry in the file's array, from 1.
    Entry(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Entry(entry) => write!(f, "entry {entry}"),
        }
    }
}

/// A user as they are in the file.
pub(super) enum Found {
    /// To be created.
    User(NewUser),
    /// Not to be created, for this reason.
    Refused {
        /// The name, if it can be told.
        username: Option<String>,
        reason: String,
    },
}

impl Found {
    fn refused(username: Option<String>, reason: impl Into<String>) -> Self {
        Self::Refused { username, reason: reason.into() }
    }

    fn user(username: String, password_hash: impl Into<String>) -> Self {
        Self::User(NewUser { username, password_hash: password_hash.into() })
    }
}

/// What takes the users. An error ends the reading.
pub(super) type Sink<'a, E> = dyn FnMut(Place, Found) -> Result<(), E> + 'a;

/// The file cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The system's error.
    #[error("cannot read it")]
    Io(#[from] std::io::Error),
    /// It is in another form.
    #[error("{0}")]
    Form(String),
}

/// Reads all users. Entries that are no users, such as groups, are left out.
///
/// # Errors
/// The file cannot be read, or the sink's.
pub(super) fn read_users<E: From<ReadError>>(
    format: Format,
    firebase: Option<&HashConfig>,
    input: &mut dyn BufRead,
    sink: &mut Sink<'_, E>,
) -> Result<(), E> {
    match format {
        Format::Jsonl => lines::each(input, |line, text| sink(Place::Line(line), own::read(text))),
        Format::Auth0 => {
            lines::each(input, |line, text| sink(Place::Line(line), auth0::read(text)))
        }
        Format::Csv => csv::read(input, sink),
        Format::Keycloak => entries(input, sink, |entry| Some(keycloak::read(entry))),
        Format::Django => entries(input, sink, django::read),
        Format::Firebase => {
            let needed = "needs --firebase-hash-config: the parameters of the project";
            let config = firebase.ok_or_else(|| ReadError::Form(needed.to_owned()))?;
            entries(input, sink, |entry| Some(firebase::read(entry, config)))
        }
    }
}

fn entries<E: From<ReadError>>(
    input: &mut dyn BufRead,
    sink: &mut Sink<'_, E>,
    read: impl Fn(&Value) -> Option<Found>,
) -> Result<(), E> {
    json_stream::each(input, |entry, value| match read(&value) {
        Some(found) => sink(Place::Entry(entry), found),
        None => Ok(()),
    })
}

/// The text of a member.
fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Whether a member says so.
fn is(value: &Value, name: &str, wanted: bool) -> bool {
    value.get(name).and_then(Value::as_bool) == Some(wanted)
}

/// Such a user could log in here, and cannot there.
const DISABLED: &str = "is disabled there, and could log in here";
const NO_PASSWORD: &str = "has no password";
const NO_NAME: &str = "has no name";

#[cfg(test)]
mod tests;
