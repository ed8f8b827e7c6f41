//! The two databases of this service, as the actors see them: the projection of user_service's log
//! ([`ProjectionStore`]), and the token set with the stored responses ([`TokenStore`]).
//!
//! Nothing outside this module names the engine or holds SQL (`standalone/tests/architecture.rs`).
//! The statements are in `sqlite/`.

pub mod checking;
mod projection;
mod sqlite;
mod token_state;
mod tokens;

use shared::backup::DatabaseFile;

pub use projection::{ApplyError, ProjectionReader, ProjectionStore, Refused, StoredHash};
pub use shared::store_error::{Damage, StoreError};
pub use token_state::Now;
pub use tokens::{KeyStatement, RevokeRefused, SetHead, TokenStore};

/// The file of the projection.
pub const PROJECTION: &str = "projection.db";
/// The file of the token set.
pub const TOKENS: &str = "tokens.db";

/// All databases, in the order in which a backup copies them.
pub const fn databases() -> &'static [DatabaseFile] {
    sqlite::DATABASES
}
