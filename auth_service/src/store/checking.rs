//! Checking both databases: whether what is stored in them fits together. Nothing is changed, and a
//! service may go on meanwhile.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use contract::TokenRecord;
use contract::token_record::KeyId;
use rusqlite::Connection;
use shared::backup::Stop;
use shared::checking::{CheckFailed, Findings, Place, Report};
use shared::tokens::token_set::record_id;

use super::sqlite::{checking, projection};
use super::{PROJECTION, StoreError, TOKENS};

const LOAD_AGAIN: &str = "stop auth_service, move projection.db, projection.db-wal and projection.db-shm away, and \
    start it: it loads all users from user_service again";
const REPLACE_TOKENS: &str = "restore a backup; or stop auth_service, move tokens.db, tokens.db-wal and tokens.db-shm \
    away, and start it: it fetches what other replicas know, and signs with a new key; if there is no other, all users \
    log in again";

/// A projection as of one moment.
pub struct ProjectionCheck {
    path: PathBuf,
    connection: Connection,
}

impl ProjectionCheck {
    /// Opens the projection in this directory. A report in its place says why it cannot be used.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it was interrupted.
    pub fn open(directory: &Path, stop: &Stop) -> Result<Result<Self, Report>, CheckFailed> {
        let path = directory.join(PROJECTION);
        match checking::open_projection(&path, stop) {
            Ok(connection) => Ok(Ok(Self { path, connection })),
            Err(failure) => Report::of_failure(shown(&path), failure, LOAD_AGAIN).map(Err),
        }
    }

    /// Where it is in the log, by what is stored; `None` before the first answer of user_service.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn find_place(&self) -> Result<Option<Place>, StoreError> {
        let Some(cursor) = projection::find_cursor(&self.connection)? else { return Ok(None) };
        let checksum = projection::find_checksum(&self.connection)?;
        Ok(Some(Place { seq: cursor.position.seq, hash: cursor.position.hash, checksum }))
    }

    /// Goes on to the present moment.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn renew(&self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("ROLLBACK; BEGIN")?)
    }

    /// Checks everything. The place has the checksum of the users that are there.
    ///
    /// # Errors
    /// It was interrupted.
    pub fn run(&self, stop: &Stop) -> Result<Report, CheckFailed> {
        self.read().or_else(|error| of_reading(&self.path, error, LOAD_AGAIN, stop))
    }

    fn read(&self) -> Result<Report, StoreError> {
        let mut findings = Findings::default();
        let summed = checking::sum(&self.connection)?;
        let checksum = summed.checksum;
        if let Some(stored) = summed.stored.filter(|stored| *stored != checksum) {
            let problem = format!(
                "the stored checksum of the users is {stored}, and that of the users that are there is {checksum}"
            );
            findings.add(problem, LOAD_AGAIN);
        }
        if !summed.are_hashes_counted {
            let problem = "the stored numbers of hashes by sealing key are not those of the hashes";
            findings.add(problem, LOAD_AGAIN);
        }
        let noted = projection::find_highest_id(&self.connection)?;
        if let Some(id) = summed.highest_id.filter(|id| noted.is_none_or(|noted| noted < *id)) {
            let problem = format!("user {} has a higher id than the highest that is noted", id.0);
            findings.add(problem, LOAD_AGAIN);
        }
        let cursor = projection::find_cursor(&self.connection)?;
        let at = cursor.map(|cursor| cursor.position).unwrap_or_default();
        for user in checking::find_ahead(&self.connection, at)? {
            let problem = format!("user {} has the stamp of a record after {}", user.0, at.seq);
            findings.add(problem, LOAD_AGAIN);
        }
        let place = cursor.map(|_| Place { seq: at.seq, hash: at.hash, checksum });
        let counted = format!("{} users, as of record {} of the log", summed.users, at.seq);
        Ok(Report { database: shown(&self.path), place, counted, findings: findings.into_vec() })
    }
}

/// Checks the token set in this directory.
///
/// # Errors
/// There is none, it cannot be read, or it was interrupted.
pub fn check_tokens(directory: &Path, stop: &Stop) -> Result<Report, CheckFailed> {
    let path = directory.join(TOKENS);
    match checking::open_tokens(&path, stop) {
        Ok(opened) => read_tokens(&path, &opened)
            .or_else(|error| of_reading(&path, error, REPLACE_TOKENS, stop)),
        Err(failure) => Report::of_failure(shown(&path), failure, REPLACE_TOKENS),
    }
}

fn read_tokens(path: &Path, opened: &Connection) -> Result<Report, StoreError> {
    let mut findings = Findings::default();
    let rows = checking::find_rows(opened)?;
    let mut known = HashSet::new();
    for (id, record) in &rows {
        match record {
            Some(record) if record_id(record) == *id => known.extend(key_of(record)),
            Some(_) => {
                findings.add("a record of the token set has the id of another", REPLACE_TOKENS);
            }
            None => findings.add("a record of the token set cannot be read", REPLACE_TOKENS),
        }
    }
    for kid in checking::find_own_keys(opened)? {
        if !known.contains(&kid) {
            let problem = format!("the key {kid} of this replica is not in the token set");
            findings.add(problem, REPLACE_TOKENS);
        }
    }
    let counted = format!("{} records of the token set", rows.len());
    Ok(Report { database: shown(path), place: None, counted, findings: findings.into_vec() })
}

/// The key that the record is about.
fn key_of(record: &TokenRecord) -> Option<KeyId> {
    match record {
        TokenRecord::KeyPublished(key) => Some(key.kid),
        TokenRecord::KeyKilled { kid } => Some(*kid),
        TokenRecord::SessionRevoked { .. } | TokenRecord::TokenTraded(_) => None,
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Reading failed in the middle.
fn of_reading(
    path: &Path,
    error: StoreError,
    repair: &str,
    stop: &Stop,
) -> Result<Report, CheckFailed> {
    if stop.is_asked() {
        return Err(CheckFailed::Interrupted);
    }
    Report::of_failure(shown(path), error.into(), repair)
}
