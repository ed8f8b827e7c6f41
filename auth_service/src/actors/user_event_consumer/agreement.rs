//! Whether the projection holds the users that user_service has, and how old that knowledge is.

use std::time::Instant;

use contract::{Cursor, Head, UsersChecksum};

use crate::actors::applied::Applied;

/// Compares what is applied with what user_service says of itself.
#[derive(Default)]
pub(super) struct Agreement {
    /// The last head.
    head: Option<Head>,
    /// A head that the projection has not reached, and when it came.
    awaited: Option<(Head, Instant)>,
    /// The snapshot on its way.
    snapshot: Option<HeardSnapshot>,
    /// Where a difference was told last.
    told_at: Option<Cursor>,
}

/// What a snapshot says of itself.
#[derive(Clone, Copy)]
struct HeardSnapshot {
    as_of: Cursor,
    /// Over all of its users.
    checksum: UsersChecksum,
    /// Some of its users cannot be stored here.
    leaves_out: bool,
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
        let leaves_out =
            self.snapshot.is_some_and(|known| known.as_of == as_of && known.leaves_out);
        self.snapshot = checksum.map(|checksum| HeardSnapshot { as_of, checksum, leaves_out });
    }

    /// Notes that a user of this snapshot was left out.
    pub(super) fn leave_out(&mut self) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.leaves_out = true;
        }
    }

    /// The checksum that the projection would have after this snapshot if no user had been left
    /// out; `None` if none was.
    pub(super) fn checksum_with_left_out(&self, as_of: Cursor) -> Option<UsersChecksum> {
        let snapshot = self.snapshot.filter(|known| known.as_of == as_of && known.leaves_out);
        snapshot.map(|snapshot| snapshot.checksum)
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

    /// Whether the projection differs from user_service at the very same place, as far as the
    /// last head tells. Each place is told once.
    pub(super) fn finds_difference(&mut self, applied: &Applied) -> bool {
        let Some(head) = self.head else { return false };
        let there = head.cursor();
        let is_comparable = applied.cursor == Some(there) && self.told_at != Some(there);
        let differs = head.checksum.is_some_and(|checksum| checksum != applied.expected_checksum());
        if is_comparable && differs {
            self.told_at = Some(there);
        }
        is_comparable && differs
    }

    /// Whether the users of the snapshot that was swapped in are those that it was said to have.
    pub(super) fn is_snapshot_whole(&mut self, applied: &Applied) -> bool {
        let Some(HeardSnapshot { as_of, checksum, .. }) = self.snapshot.take() else { return true };
        let is_whole = applied.cursor != Some(as_of) || applied.expected_checksum() == checksum;
        if !is_whole {
            self.told_at = Some(as_of);
        }
        is_whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::applied::Hashes;
    use contract::Position;

    fn checksum(byte: u8) -> UsersChecksum {
        UsersChecksum([byte; 16])
    }

    fn position(seq: i64) -> Position {
        Position { seq, ..Position::default() }
    }

    fn applied(seq: i64, byte: u8) -> Applied {
        let cursor = Some(Cursor { position: position(seq), ..Cursor::default() });
        Applied::opened(cursor, checksum(byte), None, Hashes::default())
    }

    fn head(seq: i64, byte: u8) -> Head {
        let incarnation = Cursor::default().incarnation;
        let checksum = Some(checksum(byte));
        Head { incarnation, position: position(seq), checksum, log: None }
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
    fn users_who_were_left_out_make_no_difference_until_they_change() {
        let mut agreement = Agreement::default();
        let place = |seq| Cursor { position: position(seq), ..Cursor::default() };
        agreement.hear_snapshot(place(5), Some(checksum(3)));
        assert_eq!(agreement.checksum_with_left_out(place(5)), None);
        agreement.leave_out();
        agreement.hear_snapshot(place(5), Some(checksum(3)));
        assert_eq!(agreement.checksum_with_left_out(place(5)), Some(checksum(3)), "in any part");
        assert_eq!(agreement.checksum_with_left_out(place(4)), None);
        let left_out = checksum(3).minus(checksum(1));
        let here = |seq, byte| {
            let mut here = applied(seq, byte);
            here.left_out = left_out;
            here
        };
        assert!(agreement.is_snapshot_whole(&here(5, 1)));
        agreement.hear(head(6, 4));
        assert!(!agreement.finds_difference(&here(6, 2)), "others have changed");
        agreement.hear(head(7, 5));
        assert!(agreement.finds_difference(&here(7, 2)), "one who was left out has changed");
        agreement.hear_snapshot(place(8), Some(checksum(3)));
        assert_eq!(agreement.checksum_with_left_out(place(8)), None, "another snapshot");
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
