//! Copying a database while it is used, and checking a copy.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind as IoErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rusqlite_migration::{Migrations, SchemaVersion};

use super::open::{BUSY_TIMEOUT, open_immutable, open_reader};
use super::{is_damaged, is_full_disk};
use crate::backup::Stop;
use crate::checking::CheckFailed;
use crate::regular_file::open_regular;
use crate::store_error::StoreError;

/// After how many steps of SQLite's virtual machine it looks whether it has to stop.
const STEPS: i32 = 10_000;

/// Reads the sequence number of the last record in the log of changes.
type ReadLogEnd = fn(&Connection) -> Result<i64, StoreError>;

/// A database of a service: its file, and what is needed to check a copy of it.
#[derive(Clone, Copy)]
pub struct DatabaseFile {
    /// The name of the file in the data directory.
    pub name: &'static str,
    migrations: fn() -> Migrations<'static>,
    log_end: Option<ReadLogEnd>,
}

/// A database cannot be copied, or a copy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The copy cannot be written: the disk is full, for instance.
    #[error("the copy cannot be written")]
    Output(#[source] StoreError),
    /// The database cannot be read.
    #[error("the database cannot be read")]
    Input(#[source] StoreError),
    /// It is damaged, or no database of this service.
    #[error("{0}")]
    Damaged(String),
    /// A newer version of the program wrote it, with this many migrations.
    #[error("a newer version of the program wrote it (schema {0})")]
    Newer(usize),
    /// It was asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl DatabaseFile {
    /// The database in the file of this name, with all migrations of its schema.
    pub const fn new(name: &'static str, migrations: fn() -> Migrations<'static>) -> Self {
        Self { name, migrations, log_end: None }
    }

    /// It contains the log of changes; `end` reads the sequence number of the last record.
    #[must_use]
    pub const fn with_log(self, end: ReadLogEnd) -> Self {
        Self { log_end: Some(end), ..self }
    }

    /// Whether it contains the log of changes.
    pub fn has_log(&self) -> bool {
        self.log_end.is_some()
    }

    /// Writes a copy of the database at `from` as of this moment into the empty file `to`. Readers
    /// and the writer of the database go on meanwhile. Stops soon after `stop` is set.
    ///
    /// # Errors
    /// See [`CopyError`]; `to` is then to be deleted.
    pub fn copy(&self, from: &Path, to: &Path, stop: &Arc<AtomicBool>) -> Result<(), CopyError> {
        let source = open_source(from).map_err(|error| classified(error, CopyError::Input))?;
        stop_when_asked(&source, stop).map_err(|error| classified(error, CopyError::Input))?;
        let to = to.to_str().ok_or_else(|| CopyError::Output(not_utf8()))?;
        // Not the backup API of SQLite: that one starts over with each commit of another process.
        source
            .execute("VACUUM INTO ?1", [to])
            .map_err(|error| classified(error, CopyError::Output))?;
        Ok(())
    }

    /// Checks a copy that nobody changes; returns the last record of the log, if it contains one.
    ///
    /// # Errors
    /// See [`CopyError`].
    pub fn check(&self, copy: &Path, stop: &Arc<AtomicBool>) -> Result<Option<i64>, CopyError> {
        let opened = open_immutable(copy).map_err(of_input)?;
        stop_when_asked(&opened, stop).map_err(|error| classified(error, CopyError::Input))?;
        self.check_schema(&opened)?;
        check_structure(&opened)?;
        self.log_end.map(|end| end(&opened)).transpose().map_err(of_input)
    }

    /// Opens the database at `path`, which a service may be using, and checks that its schema is the
    /// present one and its structure whole. What is read from the connection is all as of one moment.
    /// Nothing is changed. Statements end with an error soon after a signal asked to stop.
    ///
    /// # Errors
    /// See [`CheckFailed`].
    pub fn open_to_check(&self, path: &Path, stop: &Stop) -> Result<Connection, CheckFailed> {
        open_regular(OpenOptions::new().read(true), path).map_err(CheckFailed::input(path))?;
        let opened = open_reader(path).map_err(of_input)?;
        let failed = |error| classified(error, CopyError::Input);
        stop_when_asked(&opened, &stop.0).map_err(failed)?;
        self.check_schema(&opened)?;
        let pending = (self.migrations)().pending_migrations(&opened);
        if pending.map_err(|error| CopyError::Damaged(error.to_string()))? != 0 {
            let problem = "an earlier version of the program wrote it".to_owned();
            let repair =
                Some("start this version on it, which brings it up to date, and check again");
            return Err(CheckFailed::Unusable { problem, repair });
        }
        // The moment is that of the first read.
        opened.execute_batch("BEGIN").map_err(failed)?;
        check_structure(&opened)?;
        Ok(opened)
    }

    /// Whether this version knows the schema.
    fn check_schema(&self, opened: &Connection) -> Result<(), CopyError> {
        let version = (self.migrations)().current_version(opened);
        match version.map_err(|error| CopyError::Damaged(error.to_string()))? {
            SchemaVersion::Inside(_) => Ok(()),
            SchemaVersion::NoneSet => {
                Err(CopyError::Damaged("it is no database of this service".to_owned()))
            }
            SchemaVersion::Outside(version) => Err(CopyError::Newer(version.get())),
        }
    }
}

/// Not `quick_check`: that one does not compare the indexes with the tables, and a copy takes the
/// indexes over as they are. A damaged index finds the wrong user or none.
fn check_structure(opened: &Connection) -> Result<(), CopyError> {
    let found: String = opened
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| classified(error, CopyError::Input))?;
    if found == "ok" { Ok(()) } else { Err(CopyError::Damaged(format!("it is damaged: {found}"))) }
}

impl From<CopyError> for CheckFailed {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Output(error) | CopyError::Input(error) => Self::Store(error),
            CopyError::Damaged(problem) => Self::damaged(problem),
            newer @ CopyError::Newer(_) => {
                let repair = Some("use that version");
                Self::Unusable { problem: newer.to_string(), repair }
            }
            CopyError::Interrupted => Self::Interrupted,
        }
    }
}

/// A connection that changes nothing. `query_only` is left out, because it would also forbid writing
/// the copy.
fn open_source(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // SQLite opens the files with the first question: their faults belong to opening.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn not_utf8() -> StoreError {
    let problem = "SQLite takes only paths that are valid UTF-8";
    StoreError::Failed(Arc::new(io::Error::new(IoErrorKind::InvalidFilename, problem)))
}

fn stop_when_asked(connection: &Connection, stop: &Arc<AtomicBool>) -> rusqlite::Result<()> {
    let stop = Arc::clone(stop);
    connection.progress_handler(STEPS, Some(move || stop.load(Ordering::Relaxed)))
}

/// An error of SQLite; `other` says what failed if it is not the database itself.
fn classified(error: rusqlite::Error, other: fn(StoreError) -> CopyError) -> CopyError {
    if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
        return CopyError::Interrupted;
    }
    let is_about_the_disk = is_full_disk(&error);
    let error = StoreError::from(error);
    if is_damaged(&error) {
        return CopyError::Damaged("it is damaged, or no database".to_owned());
    }
    if is_about_the_disk { other(error) } else { CopyError::Input(error) }
}

fn of_input(error: StoreError) -> CopyError {
    if is_damaged(&error) {
        CopyError::Damaged("it is damaged, or no database".to_owned())
    } else {
        CopyError::Input(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{Durability, open_writer};
    use rusqlite_migration::M;

    const SCHEMA: &str = "CREATE TABLE t (x INTEGER) STRICT; CREATE INDEX i ON t (x);";
    const FILE: DatabaseFile = DatabaseFile::new("a.db", migrations).with_log(|connection| {
        Ok(connection.query_row("SELECT max(x) FROM t", [], |row| row.get(0))?)
    });

    fn migrations() -> Migrations<'static> {
        Migrations::new(vec![M::up(SCHEMA)])
    }

    fn go_on() -> Arc<AtomicBool> {
        Arc::default()
    }

    struct Paths {
        directory: tempfile::TempDir,
        writer: Connection,
    }

    impl Paths {
        fn with_rows(rows: i64) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("a.db");
            let writer = open_writer(&path, Durability::Normal, &migrations()).unwrap();
            let sql = "WITH RECURSIVE n (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n
                       WHERE x < ?1) INSERT INTO t SELECT x FROM n";
            writer.execute(sql, [rows]).unwrap();
            Self { directory, writer }
        }

        fn copy(&self, stop: &Arc<AtomicBool>) -> Result<Option<i64>, CopyError> {
            let [from, to] = ["a.db", "copy.db"].map(|name| self.directory.path().join(name));
            FILE.copy(&from, &to, stop)?;
            FILE.check(&to, stop)
        }
    }

    #[test]
    fn a_copy_has_what_was_committed_and_not_what_is_in_the_making() {
        let paths = Paths::with_rows(7);
        paths.writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (8)").unwrap();
        assert_eq!(paths.copy(&go_on()).unwrap(), Some(7));
        paths.writer.execute_batch("COMMIT").unwrap();
    }

    #[test]
    fn copying_stops_when_asked() {
        let paths = Paths::with_rows(100_000);
        let stop = Arc::new(AtomicBool::new(true));
        assert!(matches!(paths.copy(&stop), Err(CopyError::Interrupted)));
    }

    #[test]
    fn an_index_that_does_not_fit_its_table_is_found() {
        let paths = Paths::with_rows(7);
        // The index is declared anew, and keeps the entries of before.
        paths
            .writer
            .execute_batch(
                "PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t (x + 1)'
                 WHERE name = 'i';
                 PRAGMA writable_schema = RESET;
                 PRAGMA wal_checkpoint(TRUNCATE);",
            )
            .unwrap();
        let error = FILE.check(&paths.directory.path().join("a.db"), &go_on()).unwrap_err();
        assert!(matches!(&error, CopyError::Damaged(_)), "{error}");
    }
}
