//! SQLite: the statements of both databases.

pub(super) mod group_commit;
pub(super) mod hashes;
pub(super) mod migrations;
pub(super) mod projection;
pub(super) mod staging;
pub(super) mod tokens;
pub(super) mod totals;
