//! What is forgotten when, and what remains of it.

use contract::TokenRecord;
use contract::token_record::{KeyId, PublishedKey, TokenRecordId};

use super::{
    BootTime, Change, Held, KEY_STATEMENT_S, KeyEntry, LONGEST_LIFETIME_S, NOT_AGEING, SLACK_S,
    TokenSet, count_down, last_life, lives, statement,
};

/// In the last seconds of its keeping a record is neither told nor sent to others: two replicas
/// that forget at slightly different times would hand it to each other for ever.
pub(super) const FADING_S: i64 = 30;

impl TokenSet {
    /// Forgets what has been kept long enough, and lets the next records fade. Call it every
    /// second.
    pub fn forget(&mut self, now: BootTime) -> Change {
        let mut change = Change::default();
        let keep_ms = self.keep_ms();
        self.fade(BootTime(now.0.saturating_sub(keep_ms - FADING_S * 1000)));
        let forget_before = BootTime(now.0.saturating_sub(keep_ms));
        while let Some(&(since, id)) = self.by_age.first()
            && since <= forget_before
        {
            self.by_age.pop_first();
            self.drop_record(id, &mut change);
        }
        self.forget_keys(now, &mut change);
        change
    }

    /// How long a record is kept, in milliseconds. If a record names a key that is not known, so
    /// is its lifetime.
    fn keep_ms(&self) -> i64 {
        let is_known = |kid: &KeyId| self.keys.contains_key(kid) || self.horizons.of(kid).is_some();
        let lifetimes = self.keys.values().filter_map(|entry| match entry {
            KeyEntry::Published(key, _) => Some(key.lifetime_s),
            KeyEntry::Killed => None,
        });
        let longest_s = match lifetimes.max() {
            Some(longest_s) if self.named.keys().all(is_known) => longest_s,
            _ => LONGEST_LIFETIME_S,
        };
        longest_s.clamp(0, LONGEST_LIFETIME_S).saturating_add(SLACK_S) * 1000
    }

    /// Leaves the records that were learned before this time out of the checksums; those that
    /// a longer lifetime has made young again come back in.
    fn fade(&mut self, before: BootTime) {
        let fades = |since: BootTime| since <= before;
        let young: Vec<_> =
            self.fading.iter().copied().filter(|id| !fades(self.since(*id))).collect();
        for id in young {
            self.fading.remove(&id);
            self.add_to_part(id);
        }
        let old: Vec<_> = self
            .by_age
            .iter()
            .take_while(|(since, _)| fades(*since))
            .map(|(_, id)| *id)
            .filter(|id| !self.fading.contains(id))
            .collect();
        for id in old {
            self.take_from_part(id);
            self.fading.insert(id);
        }
    }

    fn since(&self, id: TokenRecordId) -> BootTime {
        self.records.get(&id).map_or(NOT_AGEING, |held| held.since)
    }

    fn drop_record(&mut self, id: TokenRecordId, change: &mut Change) {
        let Some(Held { record, .. }) = self.records.get(&id) else { return };
        let mut gone = lives(record);
        if let TokenRecord::SessionRevoked { sid, .. } = record {
            // The session's other tokens died by this record, too.
            gone.extend(self.trades_of(*sid).flat_map(|(trade, _)| [trade.old, trade.new]));
        }
        change.raised.extend(gone.into_iter().filter(|life| self.horizons.raise(*life)));
        change.removed.extend(self.take_out(id));
    }

    /// Takes a held record out of everything but the horizons.
    pub(super) fn take_out(&mut self, id: TokenRecordId) -> Option<TokenRecord> {
        let Held { record, since } = self.records.remove(&id)?;
        self.by_age.remove(&(since, id));
        match &record {
            TokenRecord::SessionRevoked { sid, .. } => count_down(&mut self.revoked, sid),
            TokenRecord::TokenTraded(trade) => {
                if let Some(ids) = self.trades.get_mut(&trade.sid) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        self.trades.remove(&trade.sid);
                    }
                }
            }
            TokenRecord::KeyPublished(_) | TokenRecord::KeyKilled { .. } => {}
        }
        for life in lives(&record) {
            count_down(&mut self.named, &life.kid);
        }
        if !self.fading.remove(&id) {
            self.take_from_part(id);
        }
        Some(record)
    }

    /// A key whose owner has not stated it for a day, and whose tokens have all expired since.
    fn forget_keys(&mut self, now: BootTime, change: &mut Change) {
        let is_due = |key: &PublishedKey, since: BootTime| {
            let keep_s = KEY_STATEMENT_S.saturating_add(key.lifetime_s).saturating_add(SLACK_S);
            now.since_ms(since) >= keep_s.saturating_mul(1000)
        };
        let due = self.keys.iter().filter_map(|(kid, entry)| match entry {
            KeyEntry::Published(key, since) if is_due(key, *since) => Some((*kid, key.clone())),
            _ => None,
        });
        for (kid, key) in due.collect::<Vec<_>>() {
            self.keys.remove(&kid);
            self.unconfirmed_keys.retain(|_, known| *known != kid);
            let life = last_life(&key);
            if self.horizons.raise(life) {
                change.raised.push(life);
            }
            change.removed.push(statement(key));
        }
    }
}
