//! The two databases of this service, as the actors see them: the projection of user_service's log
//! ([`ProjectionStore`]), and the revoked tokens with the stored responses ([`TokenStore`]).
//!
//! Nothing outside this module names the engine or holds SQL (`standalone/tests/architecture.rs`).
//! The statements are in `sqlite/`.

mod projection;
mod sqlite;
mod tokens;

use std::error::Error;
use std::sync::Arc;

pub use projection::{ApplyError, ProjectionReader, ProjectionStore, Refused};
pub use tokens::{RevokeRefused, TokenStore};

/// The database could not do it. What was asked for is not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be written now: the disk is full or read-only. Reading may go on.
    #[error("the database cannot be written")]
    Full(#[source] Arc<dyn Error + Send + Sync>),
    /// Anything else.
    #[error("the database failed")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
}
