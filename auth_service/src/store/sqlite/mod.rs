//! SQLite: the statements of both databases.

pub(super) mod checking;
pub(super) mod group_commit;
pub(super) mod hashes;
pub(super) mod migrations;
pub(super) mod projection;
pub(super) mod replicas;
pub(super) mod staging;
pub(super) mod tokens;
pub(super) mod totals;

use shared::backup::DatabaseFile;

use super::{PROJECTION, TOKENS};

/// All databases. A backup copies the projection first: the list of revoked sessions then has all
/// that were revoked when the projection was copied.
pub(super) const DATABASES: &[DatabaseFile] = &[PROJECTION_FILE, TOKENS_FILE];

/// The projection.
pub(super) const PROJECTION_FILE: DatabaseFile =
    DatabaseFile::new(PROJECTION, migrations::projection);
/// The token set.
pub(super) const TOKENS_FILE: DatabaseFile = DatabaseFile::new(TOKENS, migrations::tokens);
