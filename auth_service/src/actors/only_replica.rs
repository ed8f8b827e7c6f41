//! What is taken for granted while replicas of auth_service do not exchange their token sets: that
//! this one is the only one. The exchange over the bus (docs/decisions/0013-the-token-set.md) will
//! answer these questions instead.

use contract::token_record::KeyId;
use shared::tokens::liveness::Freshness;
use shared::tokens::token_set::{BootTime, Learned};

/// How a record that is made here is known: to everybody at once, so it begins to age.
pub(crate) const LEARNED: Learned = Learned::Now;

/// Whether every fresh replica has the key.
pub(crate) fn is_everywhere(_: &KeyId) -> bool {
    true
}

/// A fresh replica's knowledge of the token set: it has all records of the others.
pub(crate) fn with_all_records(now: BootTime, users: Freshness) -> Freshness {
    Freshness { set_marked_at: Some(now), is_anybody_missing: false, ..users }
}
