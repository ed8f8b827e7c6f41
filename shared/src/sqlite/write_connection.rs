//! A writer that waits for space on the disk.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite_migration::Migrations;

use super::open::{Durability, close_writer, open_writer, set_durability};
use super::read_connection::ReadConnection;
use crate::file_place::FilePlace;
use crate::store_error::{Damage, StoreError};

/// The one writing connection. If the disk is too full to open it, each further write tries again:
/// the service starts all the same, and reads what is there.
pub struct WriteConnection {
    path: PathBuf,
    durability: Durability,
    migrations: fn() -> Migrations<'static>,
    state: State,
}

enum State {
    Open(Box<Connection>, FilePlace),
    /// With the cause: the disk was full, or the last try failed.
    Closed(StoreError),
}

impl WriteConnection {
    /// Opens the database, creates it if it does not exist, and migrates the schema. If the disk is
    /// full, that is done later.
    ///
    /// # Errors
    /// The database cannot be used, for another reason than a full disk.
    pub fn open(
        path: PathBuf,
        durability: Durability,
        migrations: fn() -> Migrations<'static>,
    ) -> Result<Self, StoreError> {
        let closed = State::Closed(StoreError::Failed(Arc::new(Closed)));
        let mut opened = Self { path, durability, migrations, state: closed };
        match opened.open_now() {
            Ok(()) | Err(StoreError::Full(_)) => Ok(opened),
            Err(error) => Err(error),
        }
    }

    fn open_now(&mut self) -> Result<(), StoreError> {
        match open_writer(&self.path, self.durability, &(self.migrations)()) {
            Ok(connection) => {
                self.state = State::Open(
                    Box::new(connection),
                    FilePlace::of(&self.path, self.path.metadata()),
                );
                Ok(())
            }
            Err(error) => {
                let error = StoreError::from(error);
                self.state = State::Closed(error.clone());
                Err(error)
            }
        }
    }

    /// Whether it is open. If not, the disk was full when it was last tried.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(..))
    }

    /// The connection, to write.
    ///
    /// # Errors
    /// It still cannot be opened; or its file was removed or replaced, and what is written would be
    /// lost.
    pub fn get(&mut self) -> Result<&mut Connection, StoreError> {
        if !self.is_open() {
            self.open_now()?;
        }
        match &mut self.state {
            State::Open(connection, place) => {
                place.check()?;
                Ok(connection)
            }
            State::Closed(cause) => Err(cause.clone()),
        }
    }

    /// The connection, for writes that are to be more durable than the others, or less.
    ///
    /// # Errors
    /// As for [`WriteConnection::get`].
    pub fn get_with(&mut self, durability: Durability) -> Result<&mut Connection, StoreError> {
        let connection = self.get()?;
        set_durability(connection, durability)?;
        Ok(connection)
    }

    /// Reads, also while the disk is too full to write.
    ///
    /// # Errors
    /// Those of `read`. If the disk is full and the database cannot even be read, the former.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.state {
            State::Open(connection, _) => read(connection),
            State::Closed(cause) => {
                let reader = ReadConnection::new(self.path.clone(), Damage::default());
                reader.with(read).map_err(|_| cause.clone())
            }
        }
    }

    /// Closes it after all readers: then everything is in the database's main file, which can be
    /// copied without the others. A later write would open it again.
    ///
    /// # Errors
    /// The WAL was not copied into the database, because a reader is in the way or the disk is full.
    /// Nothing is lost: the next start finds it there.
    pub fn close(&mut self) -> Result<(), StoreError> {
        let closed = StoreError::Failed(Arc::new(Closed));
        match std::mem::replace(&mut self.state, State::Closed(closed)) {
            State::Open(connection, _) => close_writer(*connection),
            State::Closed(_) => Ok(()),
        }
    }
}

/// The connection was closed.
#[derive(Debug, thiserror::Error)]
#[error("the database is closed")]
struct Closed;
