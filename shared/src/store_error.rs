//! What a database can fail with, as actors and handlers see it: no engine is named.

use std::error::Error;
use std::sync::Arc;

use crate::file_place::Displaced;
use crate::sqlite;

/// A failure of the database. The requested operation was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be written now: the disk is full or read-only, or its file was removed.
    /// Reading may still work.
    #[error("the database cannot be written")]
    Full(#[source] Arc<dyn Error + Send + Sync>),
    /// Anything else.
    #[error("the database failed")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
}

impl From<Displaced> for StoreError {
    fn from(displaced: Displaced) -> Self {
        Self::Full(Arc::new(displaced))
    }
}

impl StoreError {
    /// If the database is damaged, or its file is something else, the end of a sentence that says so
    /// and gives this advice: trying again does not help. Else nothing.
    pub fn advice_if_damaged(&self, advice: &str) -> String {
        if sqlite::is_damaged(self) { format!("; it is damaged: {advice}") } else { String::new() }
    }
}
