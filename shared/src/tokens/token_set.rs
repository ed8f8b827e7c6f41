//! The token set of one replica: what it knows of ended sessions, traded tokens and keys.
//!
//! Inserting is union: records may come in any order, any number of times and by any way, and two
//! replicas that hold the same records are equal. A killed key stays killed. All else is forgotten
//! in time, or the set would grow for ever, and forgetting is where tokens become valid again in
//! other systems. So it follows three rules:
//!
//! 1. A record is kept for the longest lifetime of all known keys and [`SLACK_S`], counted from
//!    when this process learned it, by a clock that counts sleep and that nobody can set. By then
//!    every token that it concerns has expired, whatever any wall clock says.
//! 2. A record that others may not have received yet does not age at all.
//! 3. With a record goes a horizon: the `exp` of the tokens that it concerned. A token that
//!    expires at or before the horizon of its key is refused from then on, so a wall clock that
//!    is set back revives nothing.
//!
//! The owner applies each [`Change`] to the disk in one transaction, and then to the view that
//! HTTP workers read.

mod forgetting;
mod merging;
mod refresh;
mod undoing;

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use contract::TokenRecord;
use contract::token_record::{
    Horizons, KeyId, PartChecksum, PublishedKey, TokenId, TokenLife, TokenRecordId,
};

pub use self::merging::AgedRecord;
pub use self::refresh::TradeVerdict;

/// The lifetime that no token exceeds, in seconds.
pub const LONGEST_LIFETIME_S: i64 = 24 * 60 * 60;
/// How much longer than a token's life a record is kept, in seconds. It must cover how late a
/// replica may still trade a token of an ended session, how far clocks may be set back before a
/// replica takes a new key ([`super::key_schedule`]), and the leeway of verification.
pub const SLACK_S: i64 = 60;
/// How long a statement about a key holds, in seconds. Its owner repeats it every hour.
pub const KEY_STATEMENT_S: i64 = 24 * 60 * 60;

/// A time in milliseconds by a clock that counts sleep and that nobody can set (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BootTime(pub i64);

impl BootTime {
    /// Milliseconds since `earlier`.
    pub fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The record's id.
pub fn record_id(record: &TokenRecord) -> TokenRecordId {
    let mut id = [0; 16];
    id.copy_from_slice(&digest(&SHA256, &record.to_bytes()).as_ref()[..16]);
    TokenRecordId(id)
}

/// How this process came to know a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It made the record itself; the bus has not confirmed it. Ages from [`TokenSet::confirm`].
    Here,
    /// From the bus or from the disk, now.
    Now,
    /// From another replica that has known it for so many milliseconds.
    Aged(i64),
}

/// What is to be written to the disk in one transaction, and then to the view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Records to be stored.
    pub added: Vec<TokenRecord>,
    /// Records to be deleted: forgotten, or made redundant by one of `added`.
    pub removed: Vec<TokenRecord>,
    /// Horizons that were raised.
    pub raised: Vec<TokenLife>,
    /// Tokens that were traded twice: the owner ends their sessions.
    pub stolen: Vec<(TokenId, TokenLife)>,
}

impl Change {
    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.raised.is_empty()
    }
}

/// What the set says of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyEntry {
    /// Published, and stated last at this time.
    Published(PublishedKey, BootTime),
    /// Killed.
    Killed,
}

/// A held record of a session or a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    record: TokenRecord,
    /// When its keeping began; [`NOT_AGEING`] until the bus has confirmed it.
    since: BootTime,
}

/// For a record that others may lack.
const NOT_AGEING: BootTime = BootTime(i64::MAX);

/// The set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenSet {
    records: BTreeMap<TokenRecordId, Held>,
    /// The same, by age: forgetting looks at the oldest only.
    by_age: BTreeSet<(BootTime, TokenRecordId)>,
    /// How many records end a session.
    revoked: BTreeMap<TokenId, u32>,
    /// The trades of a session.
    trades: BTreeMap<TokenId, BTreeSet<TokenRecordId>>,
    /// How many held records name a key.
    named: BTreeMap<KeyId, u32>,
    keys: BTreeMap<KeyId, KeyEntry>,
    /// Records about keys that the bus has not confirmed.
    unconfirmed_keys: BTreeMap<TokenRecordId, KeyId>,
    horizons: Horizons,
    /// Over `records`, all but those that fade.
    parts: BTreeMap<u8, PartChecksum>,
    /// The oldest records, which are in no checksum any more.
    fading: BTreeSet<TokenRecordId>,
}

impl TokenSet {
    /// Takes a record. A record that is known already changes nothing, not even its age.
    pub fn insert(&mut self, record: TokenRecord, learned: Learned, now: BootTime) -> Change {
        match record {
            TokenRecord::KeyKilled { kid } => self.kill(kid, learned),
            TokenRecord::KeyPublished(key) => self.publish(*key, learned, now),
            record => self.hold(record, learned, now),
        }
    }

    fn kill(&mut self, kid: KeyId, learned: Learned) -> Change {
        let mut change = Change::default();
        match self.keys.insert(kid, KeyEntry::Killed) {
            Some(KeyEntry::Killed) => return change,
            Some(KeyEntry::Published(key, _)) => change.removed.push(statement(key)),
            None => {}
        }
        let record = TokenRecord::KeyKilled { kid };
        self.unconfirmed_keys.retain(|_, known| *known != kid);
        if learned == Learned::Here {
            self.unconfirmed_keys.insert(record_id(&record), kid);
        }
        change.added.push(record);
        change
    }

    fn publish(&mut self, key: PublishedKey, learned: Learned, now: BootTime) -> Change {
        let mut change = Change::default();
        let kid = key.kid;
        match self.keys.get(&kid) {
            Some(KeyEntry::Killed) => return change,
            Some(KeyEntry::Published(known, _)) if *known >= key => return change,
            Some(KeyEntry::Published(known, _)) => change.removed.push(statement(known.clone())),
            // All that it could have signed is behind the horizon: a replay of long ago.
            None if self.horizons.covers(&last_life(&key)) => return change,
            None => {}
        }
        let record = statement(key.clone());
        self.unconfirmed_keys.retain(|_, known| *known != kid);
        if learned == Learned::Here {
            self.unconfirmed_keys.insert(record_id(&record), kid);
        }
        change.added.push(record);
        // This replica repeats its own statement every hour: it may age at once.
        self.keys.insert(kid, KeyEntry::Published(key, began(learned, now).min(now)));
        change
    }

    fn hold(&mut self, record: TokenRecord, learned: Learned, now: BootTime) -> Change {
        let id = record_id(&record);
        if self.records.contains_key(&id) {
            return Change::default();
        }
        let since = began(learned, now);
        let mut change = Change { added: vec![record.clone()], ..Change::default() };
        match &record {
            TokenRecord::SessionRevoked { sid, .. } => *self.revoked.entry(*sid).or_default() += 1,
            TokenRecord::TokenTraded(trade) => {
                if self.is_second_trade(trade, since, now) {
                    change.stolen.push((trade.sid, trade.new));
                }
                self.trades.entry(trade.sid).or_default().insert(id);
            }
            TokenRecord::KeyPublished(_) | TokenRecord::KeyKilled { .. } => {}
        }
        for life in lives(&record) {
            *self.named.entry(life.kid).or_default() += 1;
        }
        self.add_to_part(id);
        self.by_age.insert((since, id));
        self.records.insert(id, Held { record, since });
        change
    }

    /// The bus has confirmed a record that was made here: every replica has it or will have it,
    /// and it begins to age.
    pub fn confirm(&mut self, id: TokenRecordId, now: BootTime) {
        self.unconfirmed_keys.remove(&id);
        let Some(held) = self.records.get_mut(&id) else { return };
        if held.since == NOT_AGEING {
            held.since = now;
            self.by_age.remove(&(NOT_AGEING, id));
            self.by_age.insert((now, id));
        }
    }

    /// The records that the bus has not confirmed: they are published again when it is back.
    pub fn unconfirmed(&self) -> impl Iterator<Item = TokenRecord> {
        let from = (NOT_AGEING, TokenRecordId([0; 16]));
        let held = self.by_age.range(from..).filter_map(|(_, id)| self.records.get(id));
        let keys = self.unconfirmed_keys.values().filter_map(|kid| self.key_record(kid));
        held.map(|held| held.record.clone()).chain(keys)
    }

    fn key_record(&self, kid: &KeyId) -> Option<TokenRecord> {
        self.keys.get(kid).map(|entry| match entry {
            KeyEntry::Published(key, _) => statement(key.clone()),
            KeyEntry::Killed => TokenRecord::KeyKilled { kid: *kid },
        })
    }

    /// Takes over the horizons of another replica: the greater counts.
    pub fn merge_horizons(&mut self, theirs: &Horizons) -> Change {
        let raised = theirs.iter().filter(|life| self.horizons.raise(*life)).collect();
        Change { raised, ..Change::default() }
    }

    /// Whether the session was ended.
    pub fn is_revoked(&self, sid: &TokenId) -> bool {
        self.revoked.contains_key(sid)
    }

    /// What is known of the key, if anything.
    pub fn key(&self, kid: &KeyId) -> Option<&KeyEntry> {
        self.keys.get(kid)
    }

    /// The keys that were published and not killed, by name.
    pub fn published_keys(&self) -> impl Iterator<Item = &PublishedKey> {
        self.keys.values().filter_map(|entry| match entry {
            KeyEntry::Published(key, _) => Some(key),
            KeyEntry::Killed => None,
        })
    }

    /// When the keeping of a held record began; none while the bus has not confirmed it.
    pub fn kept_since(&self, record: &TokenRecord) -> Option<BootTime> {
        let id = record_id(record);
        match record {
            _ if self.unconfirmed_keys.contains_key(&id) => None,
            TokenRecord::KeyPublished(key) => match self.keys.get(&key.kid) {
                Some(KeyEntry::Published(_, since)) => Some(*since),
                _ => None,
            },
            // Kept for good.
            TokenRecord::KeyKilled { .. } => Some(BootTime(0)),
            TokenRecord::SessionRevoked { .. } | TokenRecord::TokenTraded(_) => {
                let held = self.records.get(&id);
                held.map(|held| held.since).filter(|since| *since != NOT_AGEING)
            }
        }
    }

    /// The horizons of all keys of which something was forgotten.
    pub fn horizons(&self) -> &Horizons {
        &self.horizons
    }

    fn add_to_part(&mut self, id: TokenRecordId) {
        let part = self.parts.entry(id.part()).or_default();
        *part = part.plus(id);
    }

    fn take_from_part(&mut self, id: TokenRecordId) {
        let part = self.parts.entry(id.part()).or_default();
        *part = part.minus(id);
        if *part == PartChecksum::default() {
            self.parts.remove(&id.part());
        }
    }
}

/// All that the record tells of tokens' lives.
fn lives(record: &TokenRecord) -> Vec<TokenLife> {
    match record {
        TokenRecord::SessionRevoked { ended_with, .. } => vec![*ended_with],
        TokenRecord::TokenTraded(trade) => vec![trade.old, trade.new],
        TokenRecord::KeyPublished(_) | TokenRecord::KeyKilled { .. } => vec![],
    }
}

/// The last token that the key's statement allows.
fn last_life(key: &PublishedKey) -> TokenLife {
    TokenLife { kid: key.kid, exp_s: key.until_s.saturating_add(key.lifetime_s) }
}

fn statement(key: PublishedKey) -> TokenRecord {
    TokenRecord::KeyPublished(Box::new(key))
}

fn began(learned: Learned, now: BootTime) -> BootTime {
    match learned {
        Learned::Here => NOT_AGEING,
        Learned::Now => now,
        Learned::Aged(age_ms) => BootTime(now.0.saturating_sub(age_ms.max(0))),
    }
}

fn count_down<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
