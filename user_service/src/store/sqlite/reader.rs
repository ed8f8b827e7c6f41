//! Read-only connections.

use contract::{Head, RecordHash, UserId};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use rusqlite::{Connection, Transaction};
use shared::idempotency::IdempotentRequest;
use shared::sqlite::ReadConnection;

use super::super::{ChangeError, LogReader, Reader, Records, Snapshot, StoreError};
use super::{log, read_head, responses, users};
use crate::domain::{Credentials, User, Written};

/// Reads users.
pub(super) struct SqliteReader {
    connection: ReadConnection,
}

impl SqliteReader {
    pub(super) fn new(connection: ReadConnection) -> Self {
        Self { connection }
    }
}

// A single statement is consistent by itself.
impl Reader for SqliteReader {
    fn find_user(&self, id: UserId) -> LocalBoxFuture<'_, Result<Option<User>, StoreError>> {
        ready(self.connection.with(|connection| users::find(connection, id))).boxed_local()
    }

    fn find_user_by_key<'a>(
        &'a self,
        username_key: &'a str,
    ) -> LocalBoxFuture<'a, Result<Option<User>, StoreError>> {
        let found = self.connection.with(|connection| users::find_by_key(connection, username_key));
        ready(found).boxed_local()
    }

    fn find_credentials(
        &self,
        id: UserId,
    ) -> LocalBoxFuture<'_, Result<Option<Credentials>, StoreError>> {
        let found = self.connection.with(|connection| users::find_credentials(connection, id));
        ready(found).boxed_local()
    }

    fn list_users(
        &self,
        after: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<User>, StoreError>> {
        let listed = self.connection.with(|connection| users::list(connection, after, limit));
        ready(listed).boxed_local()
    }

    fn list_admins(&self) -> LocalBoxFuture<'_, Result<Vec<User>, StoreError>> {
        ready(self.connection.with(users::list_admins)).boxed_local()
    }

    fn find_response<'a>(
        &'a self,
        request: &'a IdempotentRequest,
        now_ms: i64,
    ) -> LocalBoxFuture<'a, Result<Option<Written>, ChangeError>> {
        let found =
            self.connection.with(|connection| Ok(responses::find(connection, request, now_ms)));
        ready(found.map_err(ChangeError::from).flatten()).boxed_local()
    }
}

/// Reads the log.
pub(super) struct SqliteLogReader {
    connection: Connection,
}

impl SqliteLogReader {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Everything that `read` sees is consistent at one moment.
    fn at_one_moment<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        read(&transaction)
    }
}

impl LogReader for SqliteLogReader {
    fn find_head(&self) -> LocalBoxFuture<'_, Result<Head, StoreError>> {
        ready(self.at_one_moment(read_head)).boxed_local()
    }

    fn find_record_hash(
        &self,
        seq: i64,
    ) -> LocalBoxFuture<'_, Result<Option<RecordHash>, StoreError>> {
        ready(self.at_one_moment(|connection| log::hash_at(connection, seq))).boxed_local()
    }

    fn list_records(
        &self,
        seq: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Records, StoreError>> {
        let records = self.at_one_moment(|connection| {
            let records = log::records_after(connection, seq, limit)?;
            Ok(Records { records, head: read_head(connection)? })
        });
        ready(records).boxed_local()
    }

    fn snapshot(&self) -> LocalBoxFuture<'_, Result<Box<dyn Snapshot + '_>, StoreError>> {
        let begin = || -> Result<Box<dyn Snapshot + '_>, StoreError> {
            let transaction = self.connection.unchecked_transaction()?;
            let (head, count) = (read_head(&transaction)?, users::count(&transaction)?);
            Ok(Box::new(SqliteSnapshot { transaction, head, count }))
        };
        ready(begin()).boxed_local()
    }
}

/// An open read transaction: while it lives, the WAL cannot be restarted and grows.
struct SqliteSnapshot<'a> {
    transaction: Transaction<'a>,
    head: Head,
    count: u32,
}

impl Snapshot for SqliteSnapshot<'_> {
    fn head(&self) -> Head {
        self.head
    }

    fn count(&self) -> u32 {
        self.count
    }

    fn list_credentials(
        &mut self,
        after: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<Credentials>, StoreError>> {
        ready(users::list_credentials(&self.transaction, after, limit)).boxed_local()
    }
}
