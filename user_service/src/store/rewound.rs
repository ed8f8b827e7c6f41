//! How far a log was seen, and what `log.rewound` says of one that went back: the same for every
//! engine.

use contract::{Cursor, LogRewound};
use serde::{Deserialize, Serialize};

/// So many ids are left out, for those that were given in the lost records.
pub(super) const IDS_LEFT_OUT: i64 = 1_000_000;

/// How far somebody has seen the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Its end, and the incarnation that vouched for it.
    #[serde(flatten)]
    pub(super) end: Cursor,
    /// No user had a higher id.
    pub(super) highest_id: i64,
}

/// The record of a log that went back, if nobody has seen a higher id than this.
pub(super) fn rewound(highest_id: i64) -> LogRewound {
    LogRewound { ids_through: highest_id.saturating_add(IDS_LEFT_OUT), written_by: None }
}

/// Tells the operator that the record was written, and why.
pub(super) fn announce(cause: &str, seq: i64, ids_through: i64) {
    tracing::error!(
        cause,
        seq,
        ids_through,
        "the log went back: everybody has to log in again, and ids go on above those that were given"
    );
}
