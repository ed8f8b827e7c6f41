//! The database as of one moment, to be checked.

use std::path::Path;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use secrecy::SecretString;
use shared::checking::CheckFailed;
use shared::postgres::{Session, Type};

use super::super::checking::{Checker, Counts};
use super::super::moving::MovedLog;
use super::super::{StoreError, StoredRecord};
use super::log_reader::{RECORDS, to_records};
use super::{PostgresStore, migrations, moving, users};
use crate::domain::{Credentials, User};

const REPAIR_OF_CHECKSUM: &str =
    "restore a backup: somebody has changed the table of users by other means than the service";

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL idle_in_transaction_session_timeout = '60s'";

/// Opens the database, and compares its schema.
pub(in crate::store) async fn open_checker(
    url: &SecretString,
    data_dir: &Path,
) -> Result<Box<dyn Checker>, CheckFailed> {
    let store = PostgresStore::new(url, "user_service check", data_dir);
    let store = store.map_err(|error| CheckFailed::damaged(error.to_string()))?;
    let session = store.patient_session().await.map_err(refused)?;
    migrations::check_present(&session).await?;
    session.run(BEGIN).await?;
    Ok(Box::new(PostgresChecker { session }))
}

/// What passes may be tried again; the rest is for the operator to settle.
fn refused(error: StoreError) -> CheckFailed {
    if error.is_passing() { CheckFailed::Store(error) } else { CheckFailed::Refused(error) }
}

/// In a read transaction, which ends with the connection.
struct PostgresChecker {
    session: Session,
}

impl PostgresChecker {
    /// The tables are read as a whole: an index that lost an entry must not hide a row.
    async fn counts(&self) -> Result<Counts, StoreError> {
        let without_indexes =
            "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off;
                               SET LOCAL enable_bitmapscan = off";
        self.session.run(without_indexes).await?;
        let sql =
            "SELECT (SELECT count(*) FROM users), (SELECT count(DISTINCT username_key) FROM users),
                          (SELECT count(*) FROM user_log)";
        let row = self.session.query_one(sql, &[]).await?;
        Ok(Counts { users: row.try_get(0)?, names: row.try_get(1)?, records: row.try_get(2)? })
    }
}

impl Checker for PostgresChecker {
    fn renew(&self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        async {
            self.session.run("ROLLBACK").await?;
            self.session.run(BEGIN).await
        }
        .boxed_local()
    }

    fn find_log(&self) -> LocalBoxFuture<'_, Result<MovedLog, StoreError>> {
        moving::read_log(&self.session).boxed_local()
    }

    fn count(&self) -> LocalBoxFuture<'_, Result<Counts, StoreError>> {
        self.counts().boxed_local()
    }

    fn is_unfinished(&self) -> LocalBoxFuture<'_, Result<bool, StoreError>> {
        moving::is_unfinished(&self.session).boxed_local()
    }

    fn list_users(
        &self,
        after: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<User>, StoreError>> {
        async move {
            let listed = users::list_credentials(&self.session, after, limit).await?;
            Ok(listed.into_iter().map(|Credentials { user, .. }| user).collect())
        }
        .boxed_local()
    }

    fn list_records(
        &self,
        seq: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<StoredRecord>, StoreError>> {
        async move {
            let limit = i64::from(limit);
            let asked = [(&seq as _, Type::INT8), (&limit as _, Type::INT8)];
            Ok(to_records(seq, &self.session.query(RECORDS, &asked).await?)?.records)
        }
        .boxed_local()
    }

    fn repair_of_checksum(&self) -> &'static str {
        REPAIR_OF_CHECKSUM
    }
}
