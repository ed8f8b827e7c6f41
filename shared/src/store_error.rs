//! What a database can fail with, as actors and handlers see it: no engine is named.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::file_place::Displaced;
use crate::full_disk::is_full_kind;
use crate::sqlite;

/// A failure of the database. The requested operation was not done, except perhaps with
/// [`StoreError::Unconfirmed`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be written now: the disk is full or read-only, or its file was removed.
    /// Reading may still work.
    #[error("the database cannot be written")]
    Full(#[source] Arc<dyn Error + Send + Sync>),
    /// The database cannot be reached now, or is busy: the same may work later.
    #[error("the database is not available")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// The connection was lost at the end of a write, and the database could not be asked since
    /// whether it was made.
    #[error("the database has not confirmed the write")]
    Unconfirmed(#[source] Arc<dyn Error + Send + Sync>),
    /// Anything else.
    #[error("the database failed")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
}

impl From<Displaced> for StoreError {
    fn from(displaced: Displaced) -> Self {
        Self::Full(Arc::new(displaced))
    }
}

/// Of a file beside the database.
impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        if is_full_kind(error.kind()) {
            Self::Full(Arc::new(error))
        } else {
            Self::Failed(Arc::new(error))
        }
    }
}

impl StoreError {
    /// Whether it is about the database as a whole, for now: the same may work later, and a service
    /// that finds it is not ready.
    pub fn is_passing(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }

    /// The error of the engine.
    pub fn cause(&self) -> &Arc<dyn Error + Send + Sync> {
        let (Self::Full(source)
        | Self::Unavailable(source)
        | Self::Unconfirmed(source)
        | Self::Failed(source)) = self;
        source
    }

    /// If the database is damaged, or its file is something else, the end of a sentence that says so
    /// and gives this advice: trying again does not help. Else nothing.
    pub fn advice_if_damaged(&self, advice: &str) -> String {
        if sqlite::is_damaged(self) { format!("; it is damaged: {advice}") } else { String::new() }
    }
}

/// Whether one of the connections to a database has found it damaged. Clones know the same. Trying
/// again does not help, so once it is found it stays so.
#[derive(Clone, Debug, Default)]
pub struct Damage(Arc<AtomicBool>);

impl Damage {
    /// Passes on the outcome of a read or write, after it was looked at.
    ///
    /// # Errors
    /// The outcome's own.
    pub fn note<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        outcome.inspect_err(|error| self.look_at(error))
    }

    /// Looks at an error.
    pub fn look_at(&self, error: &StoreError) {
        if sqlite::is_damaged(error) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it is damaged.
    pub fn is_found(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
