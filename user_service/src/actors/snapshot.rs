//! All users at one place in the log, kept in a temporary file: a reader that stood still until a
//! slow bus has taken the last part would keep SQLite from tidying up its WAL.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::Path;

use rusqlite::Connection;
use shared::contract::{Cursor, Incarnation, UserData, UsersDigest};
use shared::secrets::SealingKey;
use shared::sqlite::StoreError;

use super::user_data::user_data;
use crate::store::{digest, log, users};

/// How many users travel in one message.
const USERS_PER_PART: u32 = 1_000;

/// A snapshot that was written aside.
pub(super) struct Snapshot {
    /// The place in the log that the users were read at.
    pub(super) as_of: Cursor,
    /// What all its users come to.
    pub(super) digest: UsersDigest,
    /// How many parts there are: at least one.
    pub(super) parts: u32,
    /// One line of JSON for each part.
    lines: BufReader<File>,
}

/// It was not written, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("the database failed")]
    Store(#[from] StoreError),
    #[error("the temporary file of the snapshot failed")]
    File(#[from] io::Error),
    #[error("the snapshot cannot be encoded")]
    Json(#[from] serde_json::Error),
}

impl Snapshot {
    /// Reads all users in one transaction.
    pub(super) fn take(
        connection: &Connection,
        incarnation: Incarnation,
        key: &SealingKey,
        directory: &Path,
    ) -> Result<Self, SnapshotError> {
        let transaction = connection.unchecked_transaction().map_err(StoreError::from)?;
        let log::End { seq, chain } = log::end(&transaction)?;
        let digest = digest::read(&transaction)?;
        let mut file = BufWriter::new(tempfile::tempfile_in(directory)?);
        let (mut parts, mut after) = (0, 0);
        loop {
            let page = users::list_credentials(&transaction, after, USERS_PER_PART)?;
            if page.is_empty() && parts > 0 {
                break;
            }
            after = page.last().map_or(after, |last| last.user.id.0);
            let users: Vec<UserData> = page
                .iter()
                .map(|found| user_data(&found.user, Some(&found.password_hash), key))
                .collect();
            serde_json::to_writer(&mut file, &users)?;
            file.write_all(b"\n")?;
            parts += 1;
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let as_of = Cursor { incarnation, seq, chain };
        Ok(Self { as_of, digest, parts, lines: BufReader::new(file) })
    }

    /// The users of the next part.
    pub(super) fn next_part(&mut self) -> Result<Vec<UserData>, SnapshotError> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}
