//! How following goes, for `/metrics` and `/readyz`.

use std::time::Instant;

use shared::telemetry::Sparingly;

/// What is known of the way. It outlives the subscriptions: while user_service is down it stays
/// known how far its log was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last record that the log is known to have; at first, the last that is applied.
    pub head_seq: i64,
    /// When the log was last known to be no further than the projection; at first, the start.
    pub caught_up_at: Instant,
    /// The last part of a snapshot that was loaded, and of how many; nothing while none is.
    pub loaded: Option<(u32, u32)>,
    /// The key that user_service authenticates with, if it is not among ours.
    pub foreign_key: Option<String>,
    /// For the line about such a key: anybody who can write to the broker can invent keys.
    pub telling_of_keys: Sparingly,
    /// The projection cannot be written: only tokens are ended meanwhile.
    pub is_stuck: bool,
}

impl Progress {
    /// Before anything was heard.
    pub fn start_at(applied_seq: i64) -> Self {
        Self {
            head_seq: applied_seq,
            caught_up_at: Instant::now(),
            loaded: None,
            foreign_key: None,
            telling_of_keys: Sparingly::default(),
            is_stuck: false,
        }
    }

    /// How many records the projection is known to be behind.
    pub fn lag(&self, applied_seq: i64) -> i64 {
        // After a restore of user_service's database the log may be shorter.
        self.head_seq.saturating_sub(applied_seq).max(0)
    }
}
