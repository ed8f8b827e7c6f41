//! The schemas of both databases, and their migrations.

use rusqlite_migration::{M, Migrations};
use shared::sqlite::idempotency;

/// All migrations of `projection.db`, in order.
pub(in crate::store) fn projection() -> Migrations<'static> {
    Migrations::new(vec![
        M::up(include_str!("../../../migrations/projection/0001_credentials.sql")),
        M::up(include_str!("../../../migrations/projection/0002_checksum.sql")),
        M::up(include_str!("../../../migrations/projection/0003_optional_hashes.sql")),
        M::up(include_str!("../../../migrations/projection/0004_hash_counts.sql")),
        M::up(include_str!("../../../migrations/projection/0005_stamps.sql")),
        M::up(include_str!("../../../migrations/projection/0006_highest_id.sql")),
        M::up(include_str!("../../../migrations/projection/0007_administrators.sql")),
    ])
}

/// All migrations of `tokens.db`, in order.
pub(in crate::store) fn tokens() -> Migrations<'static> {
    Migrations::new(vec![
        M::up(include_str!("../../../migrations/tokens/0001_revocations.sql")),
        M::up(idempotency::SCHEMA),
        M::up(include_str!("../../../migrations/tokens/0002_sessions.sql")),
        M::up(include_str!("../../../migrations/tokens/0003_token_set.sql")),
        M::up(include_str!("../../../migrations/tokens/0004_replicas.sql")),
    ])
}
