//! Merging the sets of two replicas: each finds out which records the other lacks, and sends them.

use std::collections::BTreeMap;

use contract::TokenRecord;
use contract::token_record::{PartChecksum, TokenRecordId, TokenSetSummary};

use super::{BootTime, Change, KEY_STATEMENT_S, KeyEntry, Learned, TokenSet, record_id, statement};

/// A record as one replica sends it to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgedRecord {
    /// The record.
    pub record: TokenRecord,
    /// For how many milliseconds the sender has known it. The receiver keeps it no longer than the
    /// sender does; otherwise replicas would send a record to each other for ever.
    pub age_ms: i64,
}

impl TokenSet {
    /// What this replica tells the others. Equal sets have equal summaries.
    pub fn summary(&self, now: BootTime) -> TokenSetSummary {
        let mut parts = self.parts.clone();
        for (record, _) in self.told_keys(now) {
            add(&mut parts, record_id(&record));
        }
        TokenSetSummary { parts, horizons: self.horizons.clone() }
    }

    /// The parts in which the other replica holds something else than this one.
    pub fn differing_parts(&self, theirs: &TokenSetSummary, now: BootTime) -> Vec<u8> {
        let ours = self.summary(now).parts;
        (0..=u8::MAX).filter(|part| ours.get(part) != theirs.parts.get(part)).collect()
    }

    /// The records of one part, as an answer to a replica that found it different.
    pub fn records_of(&self, part: u8, now: BootTime) -> Vec<AgedRecord> {
        let mut first = [0; 16];
        first[0] = part;
        let held = self.records.range(TokenRecordId(first)..);
        let tokens = held
            .take_while(|(id, _)| id.part() == part)
            .filter(|(id, _)| !self.fading.contains(id))
            .map(|(_, held)| (held.record.clone(), held.since));
        let keys = self.told_keys(now).filter(|(record, _)| record_id(record).part() == part);
        let age_ms = |since: BootTime| now.since_ms(since.min(now));
        tokens
            .chain(keys)
            .map(|(record, since)| AgedRecord { record, age_ms: age_ms(since) })
            .collect()
    }

    /// Takes what another replica handed over: union, whatever the order.
    pub fn merge(
        &mut self,
        records: impl IntoIterator<Item = AgedRecord>,
        now: BootTime,
    ) -> Change {
        let mut whole = Change::default();
        for AgedRecord { record, age_ms } in records {
            let change = self.insert(record, Learned::Aged(age_ms), now);
            whole.added.extend(change.added);
            whole.removed.extend(change.removed);
            whole.stolen.extend(change.stolen);
        }
        whole
    }

    /// Every record, for a comparison in tests and for `keys list`.
    pub fn records(&self) -> impl Iterator<Item = TokenRecord> {
        let keys = self.keys.keys().filter_map(|kid| self.key_record(kid));
        self.records.values().map(|held| held.record.clone()).chain(keys)
    }

    /// Killed keys for good; published ones while their statement holds.
    fn told_keys(&self, now: BootTime) -> impl Iterator<Item = (TokenRecord, BootTime)> {
        self.keys.iter().filter_map(move |(kid, entry)| match entry {
            KeyEntry::Killed => Some((TokenRecord::KeyKilled { kid: *kid }, now)),
            KeyEntry::Published(key, since) => {
                let holds = now.since_ms(*since) < KEY_STATEMENT_S * 1000;
                holds.then(|| (statement(key.clone()), *since))
            }
        })
    }
}

fn add(parts: &mut BTreeMap<u8, PartChecksum>, id: TokenRecordId) {
    let part = parts.entry(id.part()).or_default();
    *part = part.plus(id);
}
