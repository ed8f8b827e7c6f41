//! How far the projection is, as everybody but its owner sees it.

use std::collections::VecDeque;

use contract::{Cursor, Position, RecordHash, UserId, UsersChecksum};

/// How many of the last positions are remembered: those of the writes that clients may wait for.
const RECENT_MAX: usize = 1_024;

/// How far the projection is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The stored cursor; none before the first answer of user_service.
    pub cursor: Option<Cursor>,
    /// The checksum over all users there.
    pub checksum: UsersChecksum,
    /// What the users who were left out of the last snapshot would add to it. Forgotten by a
    /// restart, after which another snapshot tells it.
    pub left_out: UsersChecksum,
    /// The highest id that a user has ever had here; none before the first.
    pub highest_id: Option<UserId>,
    /// With which keys the users' hashes are sealed.
    pub hashes: Hashes,
    /// The last positions without a gap, up to the cursor; see [`Applied::includes`].
    recent: VecDeque<Position>,
}

/// How many of the stored hashes are sealed with which key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes(Vec<(String, Standing, u64)>);

/// What a key that hashes are sealed with is to this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The key that seals now.
    First,
    /// Another key of the ring.
    Other,
    /// It is not here: these users cannot log in.
    Missing,
    /// No key opens this form. It is of an earlier version, or none at all.
    Unreadable,
}

impl Standing {
    /// In metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Other => "other",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Hashes {
    /// Adds the hashes of one key.
    pub fn add(&mut self, key: &str, standing: Standing, count: u64) {
        self.0.push((key.to_owned(), standing, count));
    }

    /// The key's id, what it is, and how many hashes it has sealed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Standing, u64)> {
        self.0.iter().map(|(key, standing, count)| (key.as_str(), *standing, *count))
    }

    /// How many cannot be opened: these users cannot log in.
    pub fn unopenable(&self) -> u64 {
        let unopenable = |standing| matches!(standing, Standing::Missing | Standing::Unreadable);
        self.iter().filter(|(_, standing, _)| unopenable(*standing)).map(|(.., count)| count).sum()
    }

    /// A key that some of them were sealed with and that is not here.
    pub fn missing_key(&self) -> Option<&str> {
        self.iter().find(|(_, standing, _)| *standing == Standing::Missing).map(|(key, ..)| key)
    }

    /// Whether some are sealed with a key of the ring that is not the first.
    pub fn has_other_key(&self) -> bool {
        self.iter().any(|(_, standing, _)| standing == Standing::Other)
    }

    /// What to do, if some cannot be opened.
    pub fn problem(&self) -> Option<String> {
        let count = self.unopenable();
        let advice = match self.missing_key() {
            _ if count == 0 => return None,
            Some(key) => format!(
                "the sealing key {key} is missing; give both services the same sealing keys, or \
                 wait until user_service has sent them again"
            ),
            None => "user_service is asked to send them again".to_owned(),
        };
        Some(format!("{count} hashes cannot be opened: {advice}"))
    }
}

impl Applied {
    /// What a database holds that was just opened.
    pub fn opened(
        cursor: Option<Cursor>,
        checksum: UsersChecksum,
        highest_id: Option<UserId>,
        hashes: Hashes,
    ) -> Self {
        let recent = cursor.iter().map(|cursor| cursor.position).collect();
        let left_out = UsersChecksum::default();
        Self { cursor, checksum, left_out, highest_id, hashes, recent }
    }

    /// The last record's number, 0 before the first.
    pub fn seq(&self) -> i64 {
        self.cursor.map_or(0, |cursor| cursor.position.seq)
    }

    /// Whether user_service has ever answered this version: after the migration 0005_stamps.sql the
    /// cursor has the hash of no record.
    pub fn is_synced(&self) -> bool {
        self.cursor.is_some_and(|cursor| cursor.position.hash != RecordHash::OF_NO_RECORD)
    }

    /// Whether the projection shows the write at this position.
    ///
    /// If the record there is known to be another one, it does not: either the client's write is
    /// of a history that a restore has undone, or this projection is. Of records that were applied
    /// long ago, or that a snapshot contained, the hash is not known here; then `seq` decides.
    pub fn includes(&self, write: Position) -> bool {
        let known = self.recent.front().and_then(|first| {
            let index = usize::try_from(write.seq.checked_sub(first.seq)?).ok()?;
            self.recent.get(index)
        });
        known.map_or(self.seq() >= write.seq, |known| *known == write)
    }

    /// The checksum that user_service has at this place, if the projection holds all users but those
    /// who were left out.
    pub fn expected_checksum(&self) -> UsersChecksum {
        self.checksum.plus(self.left_out)
    }

    /// For the owner: records up to the cursor were applied.
    pub fn advance(
        &mut self,
        records: impl IntoIterator<Item = Position>,
        cursor: Cursor,
        checksum: UsersChecksum,
    ) {
        self.recent.extend(records);
        let surplus = self.recent.len().saturating_sub(RECENT_MAX);
        self.recent.drain(..surplus);
        (self.cursor, self.checksum) = (Some(cursor), checksum);
    }

    /// For the owner: a snapshot has replaced everything.
    pub fn replace(&mut self, cursor: Cursor, checksum: UsersChecksum, left_out: UsersChecksum) {
        (self.cursor, self.checksum, self.left_out) = (Some(cursor), checksum, left_out);
        self.recent = VecDeque::from([cursor.position]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::RecordHash;

    fn at(seq: i64, history: u8) -> Position {
        Position { seq, hash: RecordHash([history; 16]) }
    }

    fn cursor(position: Position) -> Cursor {
        Cursor { position, ..Cursor::default() }
    }

    #[test]
    fn a_write_is_included_once_its_very_record_was_applied() {
        let mut applied = Applied::default();
        assert!(!applied.includes(at(1, 1)));
        applied.advance((1..=5).map(|seq| at(seq, 1)), cursor(at(5, 1)), UsersChecksum::default());
        assert!(applied.includes(at(1, 1)) && applied.includes(at(5, 1)));
        assert!(!applied.includes(at(6, 1)), "not reached");
        assert!(!applied.includes(at(3, 2)), "of another history");
        applied.replace(cursor(at(4, 2)), UsersChecksum::default(), UsersChecksum::default());
        assert!(!applied.includes(at(4, 1)) && !applied.includes(at(5, 1)));
        assert!(applied.includes(at(4, 2)));
        assert!(applied.includes(at(3, 1)), "nobody knows the record there: the number decides");
    }

    #[test]
    fn only_the_last_positions_are_remembered() {
        let (mut applied, end) = (Applied::default(), 3_000);
        applied.advance((1..=end).map(|seq| at(seq, 1)), cursor(at(end, 1)), applied.checksum);
        assert_eq!(applied.recent.len(), RECENT_MAX);
        assert!(!applied.includes(at(end - 1_023, 2)) && applied.includes(at(end - 1_024, 2)));
    }
}
