//! Whether the projection holds the users that user_service has, and how old that knowledge is.

use std::time::Instant;

use contract::{Cursor, Head, UsersChecksum};

use crate::actors::credential_repository::Applied;

/// Compares what is applied with what user_service says of itself.
#[derive(Default)]
pub(super) struct Agreement {
    /// The last head.
    head: Option<Head>,
    /// A head that the projection has not reached, and when it came.
    awaited: Option<(Head, Instant)>,
    /// The checksum over the users of the snapshot on its way.
    snapshot: Option<(Cursor, UsersChecksum)>,
    /// Where a difference was told last.
    told_at: Option<Cursor>,
}

impl Agreement {
    /// Notes a head.
    pub(super) fn hear(&mut self, head: Head) {
        self.head = Some(head);
        // An earlier one stays until it is reached: under load the newest never is.
        self.awaited.get_or_insert_with(|| (head, Instant::now()));
    }

    /// Notes what a snapshot says of itself.
    pub(super) fn hear_snapshot(&mut self, as_of: Cursor, checksum: Option<UsersChecksum>) {
        self.snapshot = checksum.map(|checksum| (as_of, checksum));
    }

    /// When the log was last known to be no further than what is applied now; nothing if that is
    /// no news.
    pub(super) fn take_caught_up_at(&mut self, applied: &Applied) -> Option<Instant> {
        let cursor = applied.cursor?;
        let (head, heard_at) = self.awaited?;
        if head.incarnation != cursor.incarnation {
            // Of the run before: the next head tells more.
            self.awaited = None;
            return None;
        }
        (head.position.seq <= cursor.position.seq).then(|| {
            self.awaited = None;
            heard_at
        })
    }

    /// Whether the users here are not those of user_service at the very same place, as far as the
    /// last head tells. Each place is told once.
    pub(super) fn finds_difference(&mut self, applied: &Applied) -> bool {
        let Some(head) = self.head else { return false };
        let there = head.cursor();
        let is_comparable = applied.cursor == Some(there) && self.told_at != Some(there);
        let differs = head.checksum.is_some_and(|checksum| checksum != applied.checksum);
        if is_comparable && differs {
            self.told_at = Some(there);
        }
        is_comparable && differs
    }

    /// Whether the users of the snapshot that was swapped in are those that it was said to have.
    pub(super) fn is_snapshot_whole(&mut self, applied: &Applied) -> bool {
        let Some((as_of, checksum)) = self.snapshot.take() else { return true };
        let is_whole = applied.cursor != Some(as_of) || applied.checksum == checksum;
        if !is_whole {
            self.told_at = Some(as_of);
        }
        is_whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Position;

    fn checksum(byte: u8) -> UsersChecksum {
        UsersChecksum([byte; 16])
    }

    fn position(seq: i64) -> Position {
        Position { seq, ..Position::default() }
    }

    fn applied(seq: i64, byte: u8) -> Applied {
        let cursor = Some(Cursor { position: position(seq), ..Cursor::default() });
        Applied { cursor, checksum: checksum(byte), ..Applied::default() }
    }

    fn head(seq: i64, byte: u8) -> Head {
        let incarnation = Cursor::default().incarnation;
        Head { incarnation, position: position(seq), checksum: Some(checksum(byte)) }
    }

    #[test]
    fn a_difference_is_told_once_at_each_place() {
        let mut agreement = Agreement::default();
        agreement.hear(head(5, 1));
        assert!(!agreement.finds_difference(&applied(4, 2)), "another place");
        assert!(!agreement.finds_difference(&applied(5, 1)), "the same");
        assert!(agreement.finds_difference(&applied(5, 2)));
        assert!(!agreement.finds_difference(&applied(5, 2)), "told");
        agreement.hear(head(6, 1));
        assert!(agreement.finds_difference(&applied(6, 2)));
    }

    #[test]
    fn a_snapshot_that_is_not_what_it_says_is_told_at_once() {
        let mut agreement = Agreement::default();
        let place = Cursor { position: position(5), ..Cursor::default() };
        agreement.hear_snapshot(place, Some(checksum(1)));
        assert!(!agreement.is_snapshot_whole(&applied(5, 2)));
        agreement.hear(head(5, 1));
        assert!(!agreement.finds_difference(&applied(5, 2)), "told");
    }

    #[test]
    fn a_projection_that_follows_under_load_is_level_with_an_earlier_head() {
        let mut agreement = Agreement::default();
        for seq in [5, 6, 7] {
            agreement.hear(head(seq, 1));
        }
        assert_eq!(agreement.take_caught_up_at(&applied(4, 1)), None);
        assert!(agreement.take_caught_up_at(&applied(6, 1)).is_some());
        assert_eq!(agreement.take_caught_up_at(&applied(7, 1)), None, "no news");
    }
}
