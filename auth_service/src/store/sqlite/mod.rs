//! SQLite: the statements of both databases.

pub(super) mod projection;
pub(super) mod staging;
pub(super) mod tokens;
