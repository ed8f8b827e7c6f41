//! Opening databases, with every pragma written out.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{
    Error as MigrationError, MigrationDefinitionError as DefinitionError, Migrations,
};

use super::is_full_disk;
use crate::full_disk::is_full_kind;
use crate::regular_file::open_regular;
use crate::store_error::StoreError;

/// How long a statement waits for another process's lock. Within a service nobody waits: there is
/// one writer, and in WAL mode readers do not block.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many prepared statements a connection keeps: more than a service uses.
const STATEMENTS: usize = 64;

/// What happens to a commit when the machine loses power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The commit is on the disk when `COMMIT` returns.
    Full,
    /// The commit may be lost but is never torn: for data that can be fetched again from elsewhere.
    Normal,
}

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its file cannot be created or opened.
    #[error("cannot open {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// SQLite refuses it.
    #[error("cannot set up {}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// A newer version of the program wrote it.
    #[error(
        "a newer version of the program wrote {}: use that version, or restore a backup that was made \
         before the upgrade", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// A migration failed.
    #[error("cannot migrate {}", path.display())]
    Migration {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<rusqlite_migration::Error>,
    },
}

impl OpenError {
    /// The error of SQLite, if that is the cause.
    pub(super) fn of_sqlite(&self) -> Option<&rusqlite::Error> {
        match self {
            Self::File { .. } | Self::Newer { .. } => None,
            Self::Sqlite { source, .. } => Some(source),
            Self::Migration { source, .. } => match &**source {
                rusqlite_migration::Error::RusqliteError { err, .. } => Some(err),
                _ => None,
            },
        }
    }

    /// Whether the cause is that nothing can be written now: the disk is full or read-only.
    pub fn is_full_disk(&self) -> bool {
        match self {
            Self::File { source, .. } => is_full_kind(source.kind()),
            Self::Sqlite { .. } | Self::Newer { .. } | Self::Migration { .. } => {
                self.of_sqlite().is_some_and(is_full_disk)
            }
        }
    }
}

/// Opens the one writing connection, creates the file (accessible only to its owner) if it does not
/// exist, and migrates the schema.
///
/// # Errors
/// See [`OpenError`].
pub fn open_writer(
    path: &Path,
    durability: Durability,
    migrations: &Migrations<'_>,
) -> Result<Connection, OpenError> {
    make_private_file(path)?;
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(sqlite)?;
    set_up_writer(&connection, durability).map_err(sqlite)?;
    migrations.to_latest(&mut connection).map_err(|source| {
        let path = path.to_owned();
        match source {
            MigrationError::MigrationDefinition(DefinitionError::DatabaseTooFarAhead) => {
                OpenError::Newer { path }
            }
            source => OpenError::Migration { path, source: Box::new(source) },
        }
    })?;
    Ok(connection)
}

fn make_private_file(path: &Path) -> Result<(), OpenError> {
    // SQLite gives its -wal and -shm files the permissions of the database.
    open_regular(OpenOptions::new().create(true).append(true).mode(0o600), path)
        .map(drop)
        .map_err(|source| OpenError::File { path: path.to_owned(), source })
}

fn set_up_writer(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Readers can go on while a commit is written.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    set_durability(connection, durability)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Deleted users and replaced hashes are overwritten in free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    // The WAL file shrinks again after a burst, to at most 64 MiB.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    // Sorting and temporary tables never touch the (read-only) file system.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// What happens to the next commits of this connection. Must not be called in a transaction.
pub(super) fn set_durability(
    connection: &Connection,
    durability: Durability,
) -> rusqlite::Result<()> {
    let synchronous = match durability {
        // Each commit is followed by an fsync of the WAL: an answered write survives power loss.
        Durability::Full => "FULL",
        // The WAL is synced at checkpoints only.
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)
}

/// Opens one read-only connection.
///
/// # Errors
/// The file does not exist, SQLite refuses it, or the disk is too full for SQLite to read it.
pub fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, READ_ONLY)?;
    set_up_reader(&connection)?;
    Ok(connection)
}

/// Opens a read-only connection that takes no locks and does not see the WAL: for a database that
/// nobody can write.
pub(super) fn open_immutable(path: &Path) -> Result<Connection, StoreError> {
    let flags = READ_ONLY.union(OpenFlags::SQLITE_OPEN_URI);
    let connection = Connection::open_with_flags(immutable_uri(path), flags)?;
    set_up_reader(&connection)?;
    Ok(connection)
}

/// As <https://sqlite.org/uri.html> wants paths to be written.
fn immutable_uri(path: &Path) -> String {
    let path = path.to_string_lossy();
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?immutable=1")
}

// No mutex inside: a connection is used by one thread at a time.
const READ_ONLY: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

fn set_up_reader(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "query_only", true)?;
    // SQLite opens the files with the first question: their faults belong to opening.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// Closes the writing connection after all readers: then everything is in the database's main file,
/// which can be copied without the others.
///
/// # Errors
/// The WAL was not copied into the database, because a reader is in the way or the disk is full.
/// Nothing is lost: the next start finds it there.
pub fn close_writer(connection: Connection) -> Result<(), StoreError> {
    let is_busy: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        let reason = "a reader still uses the log of changes".to_owned();
        return Err(rusqlite::Error::SqliteFailure(code, Some(reason)).into());
    }
    Ok(connection.close().map_err(|(_, error)| error)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::is_damaged;
    use rusqlite_migration::M;
    use std::os::unix::fs::PermissionsExt;

    fn migrations() -> Migrations<'static> {
        Migrations::new(vec![M::up("CREATE TABLE t (x INTEGER) STRICT;")])
    }

    #[test]
    fn readers_see_what_was_written_and_cannot_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let writer = open_writer(&path, Durability::Full, &migrations()).unwrap();
        let reader = open_reader(&path).unwrap();
        writer.execute("INSERT INTO t VALUES (7)", []).unwrap();
        let read: i64 = reader.query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(read, 7);
        assert!(reader.execute("INSERT INTO t VALUES (8)", []).is_err());
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused_and_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let newer = Migrations::new(vec![
            M::up("CREATE TABLE t (x INTEGER) STRICT;"),
            M::up("CREATE TABLE u (x INTEGER) STRICT;"),
        ]);
        close_writer(open_writer(&path, Durability::Full, &newer).unwrap()).unwrap();
        let before = std::fs::read(&path).unwrap();
        let refused = open_writer(&path, Durability::Full, &migrations()).unwrap_err();
        assert!(matches!(refused, OpenError::Newer { .. }), "{refused:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn what_was_written_is_in_the_databases_own_file_when_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let writer = open_writer(&path, Durability::Full, &migrations()).unwrap();
        writer.execute("INSERT INTO t VALUES (7)", []).unwrap();
        // An idle reader must not keep the WAL from being copied.
        let idle = open_reader(&path).unwrap();
        let _: i64 = idle.query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        close_writer(writer).unwrap();
        let copy = directory.path().join("copy.db");
        std::fs::copy(&path, &copy).unwrap();
        let read: i64 =
            open_reader(&copy).unwrap().query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(read, 7);
    }

    #[test]
    fn a_reader_in_the_way_of_closing_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let writer = open_writer(&path, Durability::Full, &migrations()).unwrap();
        writer.busy_timeout(Duration::ZERO).unwrap();
        writer.execute("INSERT INTO t VALUES (7)", []).unwrap();
        let reader = open_reader(&path).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        let _: i64 = reader.query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        writer.execute("INSERT INTO t VALUES (8)", []).unwrap();
        assert!(close_writer(writer).is_err());
    }

    #[test]
    fn the_files_are_private_and_commits_are_synced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let writer = open_writer(&path, Durability::Full, &migrations()).unwrap();
        for file in ["a.db", "a.db-wal", "a.db-shm"] {
            let metadata = std::fs::metadata(directory.path().join(file)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
        }
        let pragma = |name| writer.pragma_query_value(None, name, |row| row.get(0));
        assert_eq!(pragma("synchronous"), Ok(2i64));
    }

    #[test]
    fn what_is_no_regular_file_is_no_database() {
        let directory = tempfile::tempdir().unwrap();
        let error = open_writer(directory.path(), Durability::Full, &migrations()).unwrap_err();
        assert!(matches!(&error, OpenError::File { .. }) && !error.is_full_disk(), "{error}");
    }

    #[test]
    fn a_damaged_file_is_told_from_one_that_cannot_be_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        std::fs::write(&path, [b'x'; 4096]).unwrap();
        let error = open_writer(&path, Durability::Full, &migrations()).unwrap_err();
        assert!(is_damaged(&error.into()));
        let error = open_writer(directory.path(), Durability::Full, &migrations()).unwrap_err();
        assert!(!is_damaged(&error.into()));
    }
}
