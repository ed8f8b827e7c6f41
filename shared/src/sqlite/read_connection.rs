//! A reader that reads also while the disk is full.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::open::{open_immutable, open_reader};
use crate::store_error::{Damage, StoreError};

/// One read-only connection, opened at the first question and kept. Each belongs to one thread.
///
/// SQLite needs some space on the disk to read a database in WAL mode: 32 KiB for the file that its
/// connections share. When there is none, and the database was closed cleanly, every question gets a
/// connection of its own that takes the file for one that nobody changes. That is true for as long
/// as there is no space: the writer cannot write either.
pub struct ReadConnection {
    path: PathBuf,
    /// How to prepare a connection that is kept.
    set_up: fn(&Connection) -> Result<(), StoreError>,
    kept: OnceCell<Connection>,
    damage: Damage,
}

impl ReadConnection {
    /// Nothing is opened yet. `damage` will show what the questions find.
    pub fn new(path: PathBuf, damage: Damage) -> Self {
        Self { path, set_up: |_| Ok(()), kept: OnceCell::new(), damage }
    }

    /// Maps up to 256 MiB of the file instead of copying it: for readers that read much, from all
    /// over the file. Measured with 1,000,000 users, a request to read one user costs a fifth less.
    /// The mapped pages count in the process's resident memory, although they belong to the system's
    /// page cache and are reclaimed when needed. So readers that read little, or everything once, do
    /// without the mapping.
    #[must_use]
    pub fn mapped_into_memory(self) -> Self {
        let set_up = |connection: &Connection| -> Result<(), StoreError> {
            Ok(connection.pragma_update(None, "mmap_size", 256 * 1024 * 1024)?)
        };
        Self { set_up, ..self }
    }

    /// Asks the database.
    ///
    /// # Errors
    /// Those of `read`; or the database cannot be opened.
    pub fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.damage.note(self.ask(read))
    }

    fn ask<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(kept) = self.kept.get() {
            return read(kept);
        }
        match open_reader(&self.path) {
            Ok(opened) => {
                (self.set_up)(&opened)?;
                read(self.kept.get_or_init(|| opened))
            }
            // The error of opening says why; that of a second way that fails as well does not.
            Err(full @ StoreError::Full(_)) if is_closed_cleanly(&self.path) => {
                open_immutable(&self.path).and_then(|once| read(&once)).map_err(|_| full)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether everything that was written is in the database's own file.
fn is_closed_cleanly(path: &Path) -> bool {
    let mut wal = OsString::from(path);
    wal.push("-wal");
    match std::fs::metadata(wal) {
        Ok(metadata) => metadata.len() == 0,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}
