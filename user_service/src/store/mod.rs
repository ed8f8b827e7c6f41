//! The database of users, as the actors see it: the interface that every engine implements.
//!
//! The interface takes groups of changes and exposes no connection. A [`Writer`] takes a group of
//! [`Change`]s, plain data, and returns the outcome of each and the end of the log. The engine owns
//! everything else: transactions, the schema, how the log is pruned. Readers are asynchronous: a
//! file-based engine answers at once, on the caller's own thread; an engine over the network lets
//! the caller do other things meanwhile.
//!
//! `conformance.rs` is the test suite that every engine passes. No code outside this module names
//! an engine (`standalone/tests/architecture.rs`).

mod change;
pub mod checking;
#[cfg(test)]
mod conformance;
mod lease;
pub mod moving;
mod new_record;
mod postgres;
mod rewound;
mod rules;
mod sqlite;
mod stored_response;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::{Cursor, Head, LogRecord, RecordHash, UserId};
use futures_util::future::LocalBoxFuture;
use secrecy::SecretString;
use shared::backup::DatabaseFile;
use shared::hashing::PasswordHash;
use shared::idempotency::IdempotentRequest;

pub use change::{
    Change, ChangeError, CreateUser, DeleteUser, EndSessions, Outcome, ReplaceHash, SetRole,
    UpdateUser,
};
pub use lease::{LEASE_LENGTH, Lease, LeaseClaim};
pub use shared::store_error::StoreError;

use crate::domain::{Credentials, User, Written};

/// What the service calls itself where the database's operators see its sessions.
const SERVICE: &str = "user_service";

/// The name of the database's file.
pub const DATABASE: &str = "users.db";

/// All databases, for a backup.
pub const fn databases() -> &'static [DatabaseFile] {
    sqlite::DATABASES
}

/// The database in this file.
pub fn in_file(path: PathBuf) -> Arc<dyn Store> {
    Arc::new(sqlite::SqliteStore::new(path))
}

/// The database that this URL names; `data_dir` keeps what is known of it outside. Notifications come
/// by `listen_url`, if there is one: they do not pass every pooler.
///
/// # Errors
/// The URL cannot be used.
pub fn at_url(
    url: &SecretString,
    listen_url: Option<&SecretString>,
    data_dir: &Path,
) -> Result<Arc<dyn Store>, InvalidUrl> {
    let invalid = |error: shared::postgres::InvalidDatabaseUrl| InvalidUrl(error.to_string());
    let mut store = postgres::PostgresStore::new(url, SERVICE, data_dir).map_err(invalid)?;
    if let Some(url) = listen_url {
        store = store.listening_at(url, SERVICE).map_err(invalid)?;
    }
    Ok(Arc::new(store))
}

/// Whether this file in a data directory is what is known of a database that is elsewhere.
pub(crate) fn is_kept_outside(name: &str) -> bool {
    postgres::is_mark(name)
}

/// Whether this URL can be used.
///
/// # Errors
/// It cannot.
pub fn check_url(url: &SecretString) -> Result<(), InvalidUrl> {
    postgres::check_url(url).map_err(|error| InvalidUrl(error.to_string()))
}

/// The URL of a database cannot be used. Its content stays secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(String);

/// A database of users, not yet opened.
pub trait Store: Send + Sync {
    /// Makes the migrations that the schema lacks, and nothing else.
    fn migrate(&self) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Opens the writer, of which there is only one at a time, at the time `now_ms` (milliseconds
    /// since 1970). Brings the schema and the compared forms of the names up to date, the latter
    /// with records in the log, and begins a new incarnation of the log. If the database shows that
    /// the log went back, `log.rewound` is the first record of that incarnation.
    fn open_writer(&self, now_ms: i64) -> LocalBoxFuture<'_, Result<Opened, StoreError>>;

    /// Opens a reader of users. Each belongs to one thread.
    fn open_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn Reader>, StoreError>>;

    /// Opens a reader of the log. Each belongs to one thread.
    fn open_log_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogReader>, StoreError>>;

    /// Hears of what other processes write to the log.
    fn watch_log(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogWatch>, StoreError>>;

    /// Whether the writer or a reader of users has found the database damaged: trying again does not
    /// help.
    fn is_damaged(&self) -> bool;

    /// Why the database could not be used when it was last tried; for operators. Of a file
    /// the writer tells.
    fn trouble(&self) -> Option<&'static str>;
}

/// An opened writer.
pub struct Opened {
    /// The writer.
    pub writer: Box<dyn Writer>,
    /// The end of the log, in the new incarnation.
    pub head: Head,
    /// A follower has asked in an earlier incarnation.
    pub is_followed: bool,
}

/// What a follower's question tells of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerPlace {
    /// Where the follower is.
    pub cursor: Cursor,
    /// The highest id that it has seen, if it tells.
    pub highest_id: Option<UserId>,
}

/// Writes to the database.
pub trait Writer: Send {
    /// Makes the changes in order, as one transaction, at the time `now_ms` (milliseconds since
    /// 1970). A change that fails is undone alone; if the transaction fails, no change is made.
    /// Every change that is returned is durable.
    fn commit(
        &mut self,
        changes: Vec<Change>,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Committed, StoreError>>;

    /// Learns from a follower's question. If the log should have the follower's place and does not,
    /// it went back: writes `log.rewound`, unless that was done for the same loss. No id that the
    /// follower has seen is given from now on. Answers with the end of the log.
    fn hear_follower(
        &mut self,
        place: FollowerPlace,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Head, StoreError>>;

    /// The end of the log, if other processes may have moved it or lost a part of it: then the latter
    /// is made known as by [`Writer::hear_follower`]. `None` where no other process writes.
    fn follow_others(
        &mut self,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Option<Head>, StoreError>>;

    /// Keeps the end of the log outside the database, so that the next start finds out if the log
    /// went back.
    fn keep_mark(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Claims the publisher's lease, and records how far the bus has confirmed the log. Where no
    /// other process writes, the lease is always the claimant's.
    fn claim_lease(&mut self, claim: LeaseClaim) -> LocalBoxFuture<'_, Result<Lease, StoreError>>;

    /// Deletes a chunk of the data beyond its retention: records from the front of the log, without
    /// a gap and never one that is not published, and stored responses that have expired. Does
    /// nothing without the publisher's lease.
    fn prune(
        &mut self,
        retention: Retention,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Pruned, StoreError>>;

    /// Checks whether the database can be written again, by a write that changes nothing, and the
    /// room that the next writes need.
    fn probe(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Closes the database cleanly. All readers must be closed before.
    fn close(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StoreError>>;
}

/// A committed group of changes.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The outcome of each change, in order.
    pub outcomes: Vec<Outcome>,
    /// The end of the log.
    pub head: Head,
}

/// Which records of the log may be deleted.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Records that have been in the log for this many milliseconds.
    pub age_ms: i64,
    /// But never this many of the newest records.
    pub rows: i64,
}

impl Retention {
    /// How many records, and how many stored responses, one transaction deletes.
    const CHUNK: u16 = 1_000;
    /// How many positions with known ages are kept over the retention time: records are deleted in
    /// steps of the retention time divided by this number.
    const AGES: i64 = 256;

    /// Whether it is to be noted that every record up to the log's end is at least as old as now.
    /// `last` is the last such note: a record, and when that was.
    fn wants_age(self, last: Option<(i64, i64)>, end: i64, now_ms: i64) -> bool {
        last.is_none_or(|(seq, seen_ms)| seq < end && seen_ms + self.age_ms / Self::AGES <= now_ms)
    }

    /// The last record that may be deleted now. `old` is the last one that is old enough; `start`
    /// comes before the first one that is there.
    fn prunes_through(self, old: i64, (start, end): (i64, i64), published: i64) -> i64 {
        let newest = end.saturating_sub(self.rows);
        old.min(newest).min(published).min(start + i64::from(Self::CHUNK))
    }
}

/// The result of pruning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Records of the log that were deleted.
    pub records: usize,
    /// Stored responses that were deleted.
    pub responses: usize,
    /// The last record that was ever pruned, 0 if none was.
    pub log_start_seq: i64,
    /// There is more to prune.
    pub has_more: bool,
}

impl Pruned {
    /// Nothing, of a log that begins after this record.
    const fn nothing(log_start_seq: i64) -> Self {
        Self { records: 0, responses: 0, log_start_seq, has_more: false }
    }
}

/// Reads users. Every method sees everything that was committed before it was called.
pub trait Reader: Send {
    /// The user with this id.
    fn find_user(&self, id: UserId) -> LocalBoxFuture<'_, Result<Option<User>, StoreError>>;

    /// The user whose name is compared in this form.
    fn find_user_by_key<'a>(
        &'a self,
        username_key: &'a str,
    ) -> LocalBoxFuture<'a, Result<Option<User>, StoreError>>;

    /// The user with this id, and the hash of their password.
    fn find_credentials(
        &self,
        id: UserId,
    ) -> LocalBoxFuture<'_, Result<Option<Credentials>, StoreError>>;

    /// Up to `limit` users with ids above `after`, in order of their ids.
    fn list_users(
        &self,
        after: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<User>, StoreError>>;

    /// The administrators, in order of their ids.
    fn list_admins(&self) -> LocalBoxFuture<'_, Result<Vec<User>, StoreError>>;

    /// The first response to this request; `None` if this is the first request. "The name was
    /// taken" is such a response, too. [`ChangeError::KeyReused`] means that the key was used with
    /// another request.
    fn find_response<'a>(
        &'a self,
        request: &'a IdempotentRequest,
        now_ms: i64,
    ) -> LocalBoxFuture<'a, Result<Option<Written>, ChangeError>>;
}

/// Reads the log, and all users together with their position in it. Every method sees the database
/// at one moment.
pub trait LogReader: Send {
    /// The end of the log, with the incarnation that vouches for it.
    fn find_head(&self) -> LocalBoxFuture<'_, Result<Head, StoreError>>;

    /// The hash of the record `seq`; `None` if that record does not exist or was pruned. The hash
    /// of the last pruned record is still known, and so is that of the position before the first
    /// record.
    fn find_record_hash(
        &self,
        seq: i64,
    ) -> LocalBoxFuture<'_, Result<Option<RecordHash>, StoreError>>;

    /// Up to `limit` records after `seq`, in order and without a gap, and the end of the log. No
    /// records if the one after `seq` was pruned.
    fn list_records(&self, seq: i64, limit: u32)
    -> LocalBoxFuture<'_, Result<Records, StoreError>>;

    /// All users in their current state, to be read page by page. Callers should not keep it for
    /// long: the engine retains old versions of the data for it.
    fn snapshot(&self) -> LocalBoxFuture<'_, Result<Box<dyn Snapshot + '_>, StoreError>>;
}

/// Tells that the log may have more records than before.
pub trait LogWatch: Send {
    /// Waits until another process may have written. It is a hint: one may be lost, and one may be
    /// about a change of this process. Where no other process writes, it waits for ever.
    fn changed(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>>;
}

/// Records of the log, with the end of the log at the same moment.
#[derive(Clone, Debug)]
pub struct Records {
    /// The records.
    pub records: Vec<StoredRecord>,
    /// The end of the log.
    pub head: Head,
}

/// A record as it is read, to be sealed and sent.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// The record.
    pub record: LogRecord,
    /// The hash of the record's password, if it is still the user's current one.
    pub password: Option<PresentPassword>,
}

/// The current password of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentPassword {
    /// The user.
    pub id: UserId,
    /// The password's version.
    pub password_version: i64,
    /// Its hash.
    pub hash: PasswordHash,
}

/// All users at one position of the log.
pub trait Snapshot {
    /// The position, and the checksum over all users there.
    fn head(&self) -> Head;

    /// How many users there are.
    fn count(&self) -> u32;

    /// Up to `limit` users with ids above `after`, in order of their ids.
    fn list_credentials(
        &mut self,
        after: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<Credentials>, StoreError>>;
}
