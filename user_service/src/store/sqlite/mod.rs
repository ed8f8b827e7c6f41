//! SQLite: one writing connection with group commit, and read-only connections beside it.

mod checking;
mod checksum;
mod incarnation;
mod log;
mod migrations;
mod moving;
mod name_keys;
mod pruning;
mod published;
mod reader;
mod responses;
mod rewinding;
#[cfg(test)]
mod tests;
mod users;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use contract::Head;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, pending, ready};
use rusqlite::Connection;
use shared::backup::DatabaseFile;
use shared::sqlite::{Durability, ReadConnection, close_writer, open_reader, open_writer};
use shared::store_error::Damage;

use super::moving::MoveNotEnded;
use super::{LogReader, LogWatch, Opened, Reader, Store, StoreError};
pub(super) use checking::open_checker;
use reader::{SqliteLogReader, SqliteReader};
use writer::SqliteWriter;

/// The only database.
const USERS: DatabaseFile = DatabaseFile::new(super::DATABASE, migrations::all)
    .with_log(|connection| Ok(log::end(connection)?.seq));

/// All databases.
pub(super) const DATABASES: &[DatabaseFile] = &[USERS];

/// The database in one file.
pub(super) struct SqliteStore {
    path: PathBuf,
    damage: Damage,
}

impl SqliteStore {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, damage: Damage::default() }
    }

    /// Opens it for writing, with its schema up to date.
    fn connect(&self) -> Result<Connection, StoreError> {
        // This database is the source of truth: an acknowledged write survives a loss of power.
        Ok(open_writer(&self.path, Durability::Full, &migrations::all())?)
    }

    fn writer(&self, now_ms: i64) -> Result<Opened, StoreError> {
        let mut connection = self.connect()?;
        if moving::find_note(&connection)?.is_some() {
            return Err(StoreError::Failed(Arc::new(MoveNotEnded)));
        }
        incarnation::begin(&connection)?;
        // Before anything else writes a record.
        rewinding::check_opened(&mut connection, &self.path, now_ms)?;
        checksum::compute_if_absent(&connection)?;
        name_keys::renew(&mut connection, now_ms)?;
        let head = read_head(&connection)?;
        let is_followed = rewinding::is_followed(&connection)?;
        Ok(Opened {
            writer: Box::new(SqliteWriter::new(connection, &self.path, self.damage.clone())),
            head,
            is_followed,
        })
    }
}

impl Store for SqliteStore {
    fn migrate(&self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        ready(self.connect().and_then(close_writer)).boxed_local()
    }

    fn open_writer(&self, now_ms: i64) -> LocalBoxFuture<'_, Result<Opened, StoreError>> {
        ready(self.writer(now_ms)).boxed_local()
    }

    fn open_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn Reader>, StoreError>> {
        let connection = ReadConnection::new(self.path.clone(), self.damage.clone());
        let connection = connection.mapped_into_memory();
        let reader: Box<dyn Reader> = Box::new(SqliteReader::new(connection));
        ready(Ok(reader)).boxed_local()
    }

    fn open_log_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogReader>, StoreError>> {
        let open = || -> Result<Box<dyn LogReader>, StoreError> {
            Ok(Box::new(SqliteLogReader::new(open_reader(&self.path)?)))
        };
        ready(open()).boxed_local()
    }

    fn watch_log(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogWatch>, StoreError>> {
        let watch: Box<dyn LogWatch> = Box::new(NobodyElse);
        ready(Ok(watch)).boxed_local()
    }

    fn is_damaged(&self) -> bool {
        self.damage.is_found()
    }

    fn trouble(&self) -> Option<&'static str> {
        None
    }
}

/// No other process writes to a file that this one has claimed.
struct NobodyElse;

impl LogWatch for NobodyElse {
    fn changed(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        pending().boxed_local()
    }
}

/// The end of the log, as seen by this connection. Must be called in a transaction.
fn read_head(connection: &Connection) -> Result<Head, StoreError> {
    Ok(Head {
        incarnation: incarnation::read(connection)?,
        position: log::end(connection)?,
        checksum: Some(checksum::read(connection)?),
        log: Some(log::name(connection)?),
    })
}
