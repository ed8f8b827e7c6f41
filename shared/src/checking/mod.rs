//! `check`: what is wrong with databases, and what would repair them. Nothing is changed.

mod agreement;
mod failure;
mod findings;
mod outcome;

use contract::{RecordHash, UsersChecksum};
use serde::{Deserialize, Serialize};

pub use agreement::Agreement;
pub use failure::CheckFailed;
pub use findings::{Finding, Findings};
pub use outcome::Outcome;

/// What is told of one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Names it: the path of its file, or the setting that says where it is.
    pub database: String,
    /// Where its users are in the log, if it has users and they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What was counted in it, in words.
    pub counted: String,
    /// What is wrong; empty if nothing is.
    pub findings: Vec<Finding>,
}

/// A place in the log of user_service, and all users there as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The last record.
    pub seq: i64,
    /// Its hash.
    pub hash: RecordHash,
    /// Over the users that are really there; see [`crate::log_sync::user_checksum`].
    pub checksum: UsersChecksum,
}
