//! Checking a database of users: whether the users, their checksum and the log fit each other. Nothing
//! is changed, and a service may go on meanwhile.

use std::collections::HashMap;
use std::path::Path;

use contract::{Position, UserChange, UserId, UsersChecksum};
use futures_util::future::LocalBoxFuture;
use secrecy::SecretString;
use shared::backup::Stop;
use shared::checking::{CheckFailed, Findings, Place, Report};
use shared::log_sync::{follows, user_checksum};

use super::moving::{MovedLog, file_of};
use super::{StoreError, StoredRecord, postgres, sqlite};
use crate::domain::User;

/// How many users or records are read at once.
const PAGE: u32 = 1_000;

const RESTORE: &str = "restore a backup";
const BY_REQUEST: &str = "restore a backup; or change the user with a request to the service, so that the log tells of it";
const FINISH_MOVE: &str = "run `move` again: it goes on where it stopped";

/// A database of users as of one moment.
pub trait Checker {
    /// Goes on to the present moment.
    fn renew(&self) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// The log without its records, and the stored checksum.
    fn find_log(&self) -> LocalBoxFuture<'_, Result<MovedLog, StoreError>>;

    /// How many rows there are, counted without the indexes by which pages are read.
    fn count(&self) -> LocalBoxFuture<'_, Result<Counts, StoreError>>;

    /// Whether a move into it has begun and not ended.
    fn is_unfinished(&self) -> LocalBoxFuture<'_, Result<bool, StoreError>>;

    /// Up to `limit` users with ids above `after`, in order of their ids.
    fn list_users(
        &self,
        after: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<User>, StoreError>>;

    /// Up to `limit` records after `seq`, in order.
    fn list_records(
        &self,
        seq: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<StoredRecord>, StoreError>>;

    /// How a wrong checksum is repaired.
    fn repair_of_checksum(&self) -> &'static str;
}

/// How many rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Users.
    pub users: i64,
    /// Compared forms of their names.
    pub names: i64,
    /// Records of the log.
    pub records: i64,
}

/// Opens the database that a path, or a URL of PostgreSQL, names.
///
/// # Errors
/// It cannot be read, is damaged, or is no database of this version.
pub async fn open_checker(
    place: &SecretString,
    data_dir: &Path,
    stop: &Stop,
) -> Result<Box<dyn Checker>, CheckFailed> {
    match file_of(place) {
        Some(path) => sqlite::open_checker(path, stop),
        None => postgres::open_checker(place, data_dir).await,
    }
}

/// Where the users are in the log, by what is stored.
///
/// # Errors
/// The database cannot be read.
pub async fn find_place(checker: &dyn Checker) -> Result<Place, StoreError> {
    let MovedLog { end: Position { seq, hash }, checksum, .. } = checker.find_log().await?;
    Ok(Place { seq, hash, checksum })
}

/// Checks everything, and tells of it under this name. The place has the checksum of the users that
/// are there.
///
/// # Errors
/// It was interrupted, or the database cannot be read.
pub async fn check(
    checker: &dyn Checker,
    database: String,
    stop: &Stop,
) -> Result<Report, CheckFailed> {
    let walked = walk(checker, stop).await;
    let (walk, log) = match walked {
        // The interrupted statement fails in its own way.
        Err(_) if stop.is_asked() => return Err(CheckFailed::Interrupted),
        walked => walked?,
    };
    let counted = format!(
        "{} users, and {} records of the log up to {}",
        walk.users, walk.records, log.end.seq
    );
    let Position { seq, hash } = log.end;
    let place = Some(Place { seq, hash, checksum: walk.checksum });
    Ok(Report { database, place, counted, findings: walk.findings.into_vec() })
}

async fn walk(checker: &dyn Checker, stop: &Stop) -> Result<(Walk, MovedLog), StoreError> {
    let log = checker.find_log().await?;
    let mut walk = Walk { at: log.start, ..Walk::default() };
    if checker.is_unfinished().await? {
        walk.findings.add("a move into this database has not ended", FINISH_MOVE);
    }
    loop {
        let page = checker.list_records(walk.at.seq, PAGE).await?;
        if page.is_empty() || stop.is_asked() {
            break;
        }
        for stored in &page {
            walk.record(stored);
        }
    }
    walk.end_of_log(&log);
    let mut after = i64::MIN;
    loop {
        let page = checker.list_users(after, PAGE).await?;
        let Some(last) = page.last().filter(|_| !stop.is_asked()) else { break };
        after = last.id.0;
        for user in &page {
            walk.user(user, &log);
        }
    }
    walk.end_of_users(&log, checker.repair_of_checksum());
    walk.compare(checker.count().await?);
    Ok((walk, log))
}

/// What was read so far.
#[derive(Default)]
struct Walk {
    findings: Findings,
    /// The last record that was read.
    at: Position,
    records: i64,
    users: i64,
    highest_id: i64,
    checksum: UsersChecksum,
    /// What the log's last record of a user leaves, as one number; `None` if the user is gone.
    left: HashMap<UserId, Option<UsersChecksum>>,
}

impl Walk {
    fn record(&mut self, StoredRecord { record, .. }: &StoredRecord) {
        let Position { seq, .. } = record.position;
        if seq != self.at.seq + 1 {
            let problem = format!("the log has no record between {} and {seq}", self.at.seq);
            self.findings.add(problem, RESTORE);
        } else if !follows(self.at, record) {
            let problem = format!("the hash of record {seq} is not that of what it says");
            self.findings.add(problem, RESTORE);
        }
        self.at = record.position;
        self.records += 1;
        // Only records of one user have this form.
        if let Ok(change) = serde_json::from_str::<UserChange>(&record.data) {
            let left =
                change.user.map(|user| user_checksum(change.id, user.version, &user.username));
            self.left.insert(change.id, left);
        }
    }

    fn end_of_log(&mut self, log: &MovedLog) {
        let (end, at) = (log.end, self.at);
        if at != end {
            let problem =
                format!("the log ends at record {}, and is noted to end at {}", at.seq, end.seq);
            self.findings.add(problem, RESTORE);
        }
        if log.published > end.seq {
            let problem = format!("record {} was published, and is not in the log", log.published);
            self.findings.add(problem, RESTORE);
        }
    }

    fn user(&mut self, user: &User, log: &MovedLog) {
        let User { id, changed, stamp, .. } = user;
        let share = user_checksum(*id, user.version, &user.username);
        let is_as_told = match self.left.remove(id) {
            None => true,
            Some(left) => left == Some(share),
        };
        if !is_as_told {
            let problem = format!("user {} is not as the log's last record of the user says", id.0);
            self.findings.add(problem, BY_REQUEST);
        }
        if changed.seq > log.end.seq || stamp.seq > log.end.seq {
            let problem = format!("user {} names a record that the log does not have", id.0);
            self.findings.add(problem, RESTORE);
        }
        self.users += 1;
        self.highest_id = self.highest_id.max(id.0);
        self.checksum = self.checksum.plus(share);
    }

    fn end_of_users(&mut self, log: &MovedLog, repair_of_checksum: &str) {
        let mut missing: Vec<_> =
            self.left.iter().filter_map(|(id, left)| left.map(|_| id.0)).collect();
        missing.sort_unstable();
        for id in missing {
            let problem = format!("user {id} is in the log and not among the users");
            self.findings.add(problem, RESTORE);
        }
        if self.checksum != log.checksum {
            let problem = format!(
                "the stored checksum of the users is {}, and that of the users that are there is {}",
                log.checksum, self.checksum
            );
            self.findings.add(problem, repair_of_checksum);
        }
        if self.highest_id > log.highest_id {
            let problem = format!(
                "user {} has a higher id than {}, the highest that is noted: the next new user could get an id \
                 that somebody has or had",
                self.highest_id, log.highest_id
            );
            self.findings.add(problem, RESTORE);
        }
    }

    fn compare(&mut self, Counts { users, names, records }: Counts) {
        for (what, found, counted) in [
            ("users", self.users, users),
            ("different names", users, names),
            ("records", self.records, records),
        ] {
            if found != counted {
                let problem = format!("{found} {what} are found by index, and {counted} without");
                self.findings.add(problem, "make the indexes of the database anew (REINDEX)");
            }
        }
    }
}
