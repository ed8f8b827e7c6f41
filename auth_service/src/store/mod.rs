//! The two databases of this service, as the actors see them: the projection of user_service's log
//! ([`ProjectionStore`]), and the revoked sessions with the stored responses ([`TokenStore`]).
//!
//! Nothing outside this module names the engine or holds SQL (`standalone/tests/architecture.rs`).
//! The statements are in `sqlite/`.

mod forgetting;
mod projection;
mod sqlite;
mod tokens;

pub use forgetting::{Now, RevokedSession};
pub use projection::{ApplyError, ProjectionReader, ProjectionStore, Refused, StoredHash};
pub use shared::sqlite::Damage;
pub use shared::store_error::StoreError;
pub use tokens::{RevokeRefused, TokenStore};
