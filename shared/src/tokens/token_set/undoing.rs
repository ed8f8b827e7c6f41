//! Taking back a change that could not be written to the disk.

use contract::TokenRecord;

use super::{BootTime, Change, KeyEntry, TokenSet, record_id};

impl TokenSet {
    /// Takes back what [`TokenSet::insert`] has just done. Of several changes the last one is taken
    /// back first.
    pub fn undo(&mut self, change: &Change, now: BootTime) {
        for record in &change.added {
            let key = match record {
                TokenRecord::KeyPublished(key) => key.kid,
                TokenRecord::KeyKilled { kid } => *kid,
                TokenRecord::SessionRevoked { .. } | TokenRecord::TokenTraded(_) => {
                    self.take_out(record_id(record));
                    continue;
                }
            };
            self.keys.remove(&key);
            self.unconfirmed_keys.retain(|_, known| *known != key);
        }
        for record in &change.removed {
            if let TokenRecord::KeyPublished(key) = record {
                // Kept for longer than without the change, which does no harm.
                self.keys.insert(key.kid, KeyEntry::Published((**key).clone(), now));
            }
        }
    }
}
