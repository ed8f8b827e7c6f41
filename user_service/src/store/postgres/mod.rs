//! PostgreSQL: any number of processes behind one log.
//!
//! Who writes takes the log's lock first (`transaction.rs`), reads what the changes are about,
//! decides them in memory (`group.rs`), and writes what became of it, with COMMIT, in one go: a group
//! of changes costs three round trips and one flush, whatever its size.

mod checking;
mod group;
mod lease;
mod log_reader;
mod log_state;
mod log_watch;
mod migrations;
mod moving;
mod name_keys;
mod place;
mod pruning;
mod reader;
mod responses;
mod rewinding;
#[cfg(test)]
mod tests;
mod transaction;
mod users;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use secrecy::SecretString;
use shared::file_mark::Mark;
pub(super) use shared::postgres::check_url;
use shared::postgres::{InvalidDatabaseUrl, Link, Server, Session};

use super::{LogReader, LogWatch, Opened, Reader, Store, StoreError};
pub(super) use checking::open_checker;
use log_reader::PostgresLogReader;
use log_watch::PostgresLogWatch;
use reader::PostgresReader;
use writer::PostgresWriter;

/// The mark beside which database: the name differs from SQLite's, whose log is another one.
const MARKED: &str = "users-postgres.db";
/// How long statements over all users may take.
const LONG: Duration = Duration::from_hours(1);

/// Whether this file in a data directory is the mark.
pub(super) fn is_mark(name: &str) -> bool {
    Path::new(name) == Mark::path_beside(Path::new(MARKED))
}

/// The database that a URL names.
pub(super) struct PostgresStore {
    server: Arc<Server>,
    /// Where notifications come from: the same database, without a pooler.
    listening_at: Arc<Server>,
    /// The mark of how far the log has been lies beside this path, where there is no file.
    marked: PathBuf,
}

impl PostgresStore {
    /// `application` is what it shows to the server's operators.
    pub(super) fn new(
        url: &SecretString,
        application: &str,
        data_dir: &Path,
    ) -> Result<Self, InvalidDatabaseUrl> {
        let server = Arc::new(Server::new(url, application)?);
        let listening_at = Arc::clone(&server);
        Ok(Self { server, listening_at, marked: data_dir.join(MARKED) })
    }

    /// The same with another way for notifications.
    pub(super) fn listening_at(
        self,
        url: &SecretString,
        application: &str,
    ) -> Result<Self, InvalidDatabaseUrl> {
        Ok(Self { listening_at: Arc::new(Server::new(url, application)?), ..self })
    }

    /// A connection for statements that may take long.
    async fn patient_session(&self) -> Result<Session, StoreError> {
        Ok(self.server.connect().await?.with_limit(LONG))
    }
}

impl Store for PostgresStore {
    fn migrate(&self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        async { migrations::run(&self.patient_session().await?).await }.boxed_local()
    }

    fn open_writer(&self, now_ms: i64) -> LocalBoxFuture<'_, Result<Opened, StoreError>> {
        async move {
            self.server.meet(&rewinding::marked_timeline(&self.marked)?)?;
            let session = self.patient_session().await?;
            migrations::run(&session).await?;
            let (server, marked) = (Arc::clone(&self.server), self.marked.clone());
            PostgresWriter::open(session, server, marked, now_ms).await
        }
        .boxed_local()
    }

    fn open_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn Reader>, StoreError>> {
        let reader: Box<dyn Reader> =
            Box::new(PostgresReader::new(Link::new(Arc::clone(&self.server))));
        ready(Ok(reader)).boxed_local()
    }

    fn open_log_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogReader>, StoreError>> {
        let reader: Box<dyn LogReader> = Box::new(PostgresLogReader::new(Arc::clone(&self.server)));
        ready(Ok(reader)).boxed_local()
    }

    fn watch_log(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogWatch>, StoreError>> {
        async {
            let watch: Box<dyn LogWatch> =
                Box::new(PostgresLogWatch::open(&self.listening_at).await?);
            Ok(watch)
        }
        .boxed_local()
    }

    fn is_damaged(&self) -> bool {
        false
    }

    fn trouble(&self) -> Option<&'static str> {
        if !self.server.is_reachable() {
            Some("the database cannot be reached")
        } else if self.server.is_former_primary() {
            Some("the database is a former primary that runs again: stop that server")
        } else {
            None
        }
    }
}
