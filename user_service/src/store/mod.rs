//! The only SQL of this service, behind functions that a second engine could offer as well.

pub mod digest;
pub mod log;
pub mod published;
pub mod users;

use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};
use shared::sqlite::{
    Durability, OpenError, ReadPool, Reader, StoreError, idempotency, open_readers, open_writer,
};

/// Opens the database for writing, and brings its schema up to date.
///
/// # Errors
/// See [`OpenError`].
pub fn open(path: &Path) -> Result<Connection, OpenError> {
    let migrations = Migrations::new(vec![
        M::up(include_str!("../../migrations/0001_users.sql")),
        M::up(idempotency::SCHEMA),
        M::up(include_str!("../../migrations/0002_pruning_and_digest.sql")),
        M::up(include_str!("../../migrations/0003_log_without_hashes.sql")),
    ]);
    // This database is the truth: what was answered survives a loss of power.
    open_writer(path, Durability::Full, &migrations)
}

/// Opens the database for up to `readers` readers, and proves that it can be read.
///
/// # Errors
/// See [`OpenError`].
pub fn open_pool(path: &Path, readers: u32) -> Result<ReadPool, OpenError> {
    let pool = open_readers(path, readers)?;
    drop(pool.get()?);
    Ok(pool)
}

/// Takes a reading connection out of the pool, to be kept by one reader.
///
/// # Errors
/// None could be opened.
pub fn check_out(pool: &ReadPool) -> Result<Reader, StoreError> {
    pool.get().map_err(|error| {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        rusqlite::Error::SqliteFailure(code, Some(error.to_string())).into()
    })
}

/// Finds out whether the database can be written, by a write that changes nothing.
///
/// # Errors
/// It cannot.
pub fn probe_writing(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("UPDATE published SET seq = seq", [])?;
    Ok(())
}
