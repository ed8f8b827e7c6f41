//! The database of users, as the actors see it: what every engine offers.
//!
//! The cut is at the group of changes, not at the connection. A [`Writer`] takes a group of
//! [`Change`]s, plain data, and answers with what became of each and with the log's end. The engine
//! owns everything else: transactions, the form of the tables, how the log is pruned. Readers are
//! asynchronous: an engine in a file answers at once, on the caller's own thread, and one over the
//! network lets it do other things meanwhile.
//!
//! `conformance.rs` is the suite that every engine passes. Nothing outside this module names one
//! (`standalone/tests/architecture.rs`).

mod change;
#[cfg(test)]
mod conformance;
mod sqlite;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use contract::{Head, LogRecord, RecordHash, UserId};
use futures_util::future::LocalBoxFuture;
use shared::hashing::PasswordHash;
use shared::idempotency::IdempotentRequest;

pub use change::{Change, ChangeError, CreateUser, DeleteUser, Outcome, ReplaceHash, UpdateUser};

use crate::domain::{Credentials, User, Written};

/// The database in this file.
pub fn in_file(path: PathBuf) -> Arc<dyn Store> {
    Arc::new(sqlite::SqliteStore::new(path))
}

/// A database of users, not yet opened.
pub trait Store: Send + Sync {
    /// Opens the writer, of which there is one at a time, at the time `now_ms` (milliseconds since
    /// 1970): brings the form of the tables and the compared forms of the names up to date, the
    /// latter with records in the log, and begins a new incarnation of the log.
    fn open_writer(&self, now_ms: i64) -> LocalBoxFuture<'_, Result<Opened, StoreError>>;

    /// Opens a reader of users. Each belongs to one thread.
    fn open_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn Reader>, StoreError>>;

    /// Opens a reader of the log. Each belongs to one thread.
    fn open_log_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogReader>, StoreError>>;
}

/// A writer that was opened.
pub struct Opened {
    /// The writer.
    pub writer: Box<dyn Writer>,
    /// The log's end, in the new incarnation.
    pub head: Head,
}

/// Writes to the database.
pub trait Writer: Send {
    /// Makes the changes in their order, as one transaction, at the time `now_ms` (milliseconds
    /// since 1970). A change that fails is undone alone; if the transaction fails, none is made.
    /// What is answered is durable.
    fn commit(
        &mut self,
        changes: Vec<Change>,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Committed, StoreError>>;

    /// Records that the bus has confirmed the log up to `seq`; never goes back.
    fn record_published(&mut self, seq: i64) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Deletes some of what is no longer kept: records of the log from its front, without a gap and
    /// never one that is not published, and stored responses that have expired.
    fn prune(
        &mut self,
        retention: Retention,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Pruned, StoreError>>;

    /// Finds out whether the database can be written, by a write that changes nothing.
    fn probe(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Closes the database in order, after all readers.
    fn close(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StoreError>>;
}

/// A group of changes that was committed.
#[derive(Clone, Debug)]
pub struct Committed {
    /// What became of each change, in their order.
    pub outcomes: Vec<Outcome>,
    /// The log's end.
    pub head: Head,
}

/// Which records of the log may go.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Those that have been in the log for so many milliseconds.
    pub age_ms: i64,
    /// But not so many of the newest.
    pub rows: i64,
}

/// What pruning did.
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

/// Reads users. Every method sees what was committed when it was called.
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

    /// What was answered to this request before, nothing if it is the first. That the name was taken
    /// is such an answer, too; [`ChangeError::KeyReused`] tells that the key came with another one.
    fn find_response<'a>(
        &'a self,
        request: &'a IdempotentRequest,
        now_ms: i64,
    ) -> LocalBoxFuture<'a, Result<Option<Written>, ChangeError>>;
}

/// Reads the log, and all users together with their place in it. Every method sees the database at
/// one moment.
pub trait LogReader: Send {
    /// The log's end, with the incarnation that vouches for it.
    fn find_head(&self) -> LocalBoxFuture<'_, Result<Head, StoreError>>;

    /// The last record that the bus has confirmed, 0 before the first.
    fn find_published(&self) -> LocalBoxFuture<'_, Result<i64, StoreError>>;

    /// The hash of the record `seq`; nothing if there is none, or none any more. The hash of the
    /// last record that was pruned is known, and so is that of the place before the first.
    fn find_record_hash(
        &self,
        seq: i64,
    ) -> LocalBoxFuture<'_, Result<Option<RecordHash>, StoreError>>;

    /// Up to `limit` records after `seq`, in their order and without a gap, and the log's end. No
    /// records if the one after `seq` was pruned.
    fn list_records(&self, seq: i64, limit: u32)
    -> LocalBoxFuture<'_, Result<Records, StoreError>>;

    /// All users as they are now, to be read page by page. It should not be held for long: the
    /// engine keeps the past for it.
    fn snapshot(&self) -> LocalBoxFuture<'_, Result<Box<dyn Snapshot + '_>, StoreError>>;
}

/// Records of the log, read together with what belongs to them.
#[derive(Clone, Debug)]
pub struct Records {
    /// The records.
    pub records: Vec<StoredRecord>,
    /// The log's end.
    pub head: Head,
}

/// A record as it is read, to be sealed and sent.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// The record.
    pub record: LogRecord,
    /// The hash of the password that the record states, if it is still the user's present one.
    pub password: Option<PresentPassword>,
}

/// The present password of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentPassword {
    /// The user.
    pub id: UserId,
    /// The password's version.
    pub password_version: i64,
    /// Its hash.
    pub hash: PasswordHash,
}

/// All users at one place in the log.
pub trait Snapshot {
    /// The place, and the checksum over all users there.
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

/// The database could not do it. What was asked for is not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be written now: the disk is full or read-only. Reading may go on.
    #[error("the database cannot be written")]
    Full(#[source] Arc<dyn Error + Send + Sync>),
    /// Anything else.
    #[error("the database failed")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
}
