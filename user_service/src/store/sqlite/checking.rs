//! The file as of one moment, to be checked.

use std::path::Path;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use rusqlite::Connection;
use shared::backup::Stop;
use shared::checking::CheckFailed;

use super::super::checking::{Checker, Counts};
use super::super::moving::MovedLog;
use super::super::{StoreError, StoredRecord};
use super::{USERS, log, moving, users};
use crate::domain::User;

const REPAIR_OF_CHECKSUM: &str = "restore a backup; or, if the users are right as they are, stop the service, delete \
    the row of the table users_checksum, and start it: it computes the checksum again, and auth_service loads the users";

/// Opens the file, and checks its structure.
pub(in crate::store) fn open_checker(
    path: &Path,
    stop: &Stop,
) -> Result<Box<dyn Checker>, CheckFailed> {
    Ok(Box::new(SqliteChecker { connection: USERS.open_to_check(path, stop)? }))
}

/// In a read transaction.
struct SqliteChecker {
    connection: Connection,
}

impl SqliteChecker {
    fn counts(&self) -> Result<Counts, StoreError> {
        // Opening has compared the indexes with the tables.
        let sql =
            "SELECT (SELECT count(*) FROM users), (SELECT count(DISTINCT username_key) FROM users),
                          (SELECT count(*) FROM user_log)";
        Ok(self.connection.query_row(sql, [], |row| {
            Ok(Counts { users: row.get(0)?, names: row.get(1)?, records: row.get(2)? })
        })?)
    }
}

impl Checker for SqliteChecker {
    fn renew(&self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        let renewed = self.connection.execute_batch("ROLLBACK; BEGIN");
        ready(renewed.map_err(StoreError::from)).boxed_local()
    }

    fn find_log(&self) -> LocalBoxFuture<'_, Result<MovedLog, StoreError>> {
        ready(moving::read_log(&self.connection)).boxed_local()
    }

    fn count(&self) -> LocalBoxFuture<'_, Result<Counts, StoreError>> {
        ready(self.counts()).boxed_local()
    }

    fn is_unfinished(&self) -> LocalBoxFuture<'_, Result<bool, StoreError>> {
        ready(moving::find_note(&self.connection).map(|note| note.is_some())).boxed_local()
    }

    fn list_users(
        &self,
        after: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<User>, StoreError>> {
        ready(users::list(&self.connection, after, limit)).boxed_local()
    }

    fn list_records(
        &self,
        seq: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<StoredRecord>, StoreError>> {
        ready(log::records_after(&self.connection, seq, limit)).boxed_local()
    }

    fn repair_of_checksum(&self) -> &'static str {
        REPAIR_OF_CHECKSUM
    }
}
