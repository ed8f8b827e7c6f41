//! A table from keys to times that uses a fixed amount of memory for any number of keys.

/// The number of entries in one set: a key can be in any entry of its set, and in no other set.
const WAYS: usize = 16;

/// An unknown key, and the time of unknown keys.
const EMPTY: [u64; 2] = [0, 0];

/// Each entry has sixteen bytes: the hash of the key, and a time. If the set of a key is full, the
/// entry with the earliest time is replaced.
///
/// So a flood of new keys replaces the least important entries: a nearly refilled budget, a login
/// of long ago. An LRU list would forget a spent budget as easily as any other, and needs three
/// times the memory. Keys are hashes under a secret: nobody can choose which keys share a set.
pub(super) struct KeyTable {
    /// The system provides a page of this memory only when it is first written.
    entries: Vec<[u64; 2]>,
    /// The number of sets, a power of two, minus one.
    mask: u64,
}

impl KeyTable {
    /// A table of at least this many entries.
    pub(super) fn new(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS).next_power_of_two();
        Self { entries: vec![EMPTY; sets * WAYS], mask: sets as u64 - 1 }
    }

    /// The time of this key; 0 if it is not known.
    pub(super) fn get(&self, key: u64) -> u64 {
        let (key, set) = self.place_of(key);
        self.entries[set..set + WAYS]
            .iter()
            .find(|entry| entry[0] == key)
            .map_or(0, |entry| entry[1])
    }

    /// Remembers the time of this key.
    pub(super) fn set(&mut self, key: u64, time: u64) {
        let (key, set) = self.place_of(key);
        let entries = &mut self.entries[set..set + WAYS];
        let own = entries.iter().position(|entry| entry[0] == key);
        // An empty entry has the earliest time of all.
        let earliest = || (0..WAYS).min_by_key(|&way| entries[way][1]);
        if let Some(way) = own.or_else(earliest) {
            entries[way] = [key, time];
        }
    }

    /// The key as it is stored, and the start of its set.
    fn place_of(&self, key: u64) -> (u64, usize) {
        let set = usize::try_from(key & self.mask).unwrap_or_default();
        // 0 marks an empty entry.
        (key.max(1), set * WAYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn what_was_set_is_there_until_it_is_set_again() {
        let mut table = KeyTable::new(64);
        for key in [0, 1, 2, u64::MAX] {
            table.set(key, key / 2 + 3);
        }
        table.set(2, 99);
        assert_eq!((table.get(2), table.get(u64::MAX), table.get(7)), (99, u64::MAX / 2 + 3, 0));
    }

    #[test]
    fn ten_million_keys_take_no_more_memory_than_one_and_do_not_push_out_what_was_spent() {
        let hashes = std::hash::RandomState::new();
        let mut table = KeyTable::new(1 << 16);
        let room = (table.entries.len(), table.entries.capacity());
        let spent = hashes.hash_one("spent");
        table.set(spent, 20_000_000);
        for n in 0..10_000_000_u64 {
            table.set(hashes.hash_one(n), n + 1_000_000);
        }
        assert_eq!((table.entries.len(), table.entries.capacity()), room);
        assert_eq!(table.get(spent), 20_000_000);
        let newest = hashes.hash_one(9_999_999_u64);
        assert_eq!(table.get(newest), 10_999_999, "a new key is always remembered at first");
    }

    #[test]
    fn a_table_that_is_a_quarter_full_has_forgotten_nothing() {
        let hashes = std::hash::RandomState::new();
        let mut table = KeyTable::new(1 << 16);
        for n in 0..1_u64 << 14 {
            table.set(hashes.hash_one(n), n + 1);
        }
        let forgotten = (0..1_u64 << 14).filter(|n| table.get(hashes.hash_one(n)) != n + 1).count();
        assert!(forgotten <= 1, "{forgotten}: one in a hundred runs may lose one");
    }
}
