//! What a database can fail with, as actors and handlers see it: no engine is named.

use std::error::Error;
use std::sync::Arc;

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
