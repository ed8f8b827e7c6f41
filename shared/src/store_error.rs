//! What a database can fail with, as actors and handlers see it: no engine is named.

use std::error::Error;
use std::sync::Arc;

use crate::sqlite;

/// A failure of the database. The requested operation was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be written now: the disk is full or read-only. Reading may still work.
    #[error("the database cannot be written")]
    Full(#[source] Arc<dyn Error + Send + Sync>),
    /// Anything else.
    #[error("the database failed")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Whether the database is damaged, or its file is something else: trying again does not help.
    pub fn is_damaged(&self) -> bool {
        sqlite::is_damaged(self)
    }
}
