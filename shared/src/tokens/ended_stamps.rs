//! Security stamps that genuine records have ended and that the projection still shows.
//!
//! A record that deletes a user, sets a password or gives all users new stamps counts at once, also while it waits for records
//! before it or for space on the disk. The consumer alone writes here; HTTP workers read.

use std::sync::Arc;

use contract::{Incarnation, Position, RecordData, UserChange, UserId};
use dashmap::DashMap;

use crate::log_sync::ReceivedRecord;

/// A view that any thread may ask; clones show the same.
#[derive(Clone, Default)]
pub struct EndedStamps(Arc<DashMap<Whose, Vec<Ended>>>);

/// Whose stamps a record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Those of all users: the log went back.
    Everybodys,
    /// Those of this user.
    Of(UserId),
}

impl Whose {
    /// Whom a record with this data concerns.
    pub fn stamps(data: &RecordData) -> Self {
        data.user().map_or(Self::Everybodys, |change| Self::Of(change.id))
    }
}

/// The last record that ended these stamps, of those that one incarnation vouched for.
#[derive(Clone, Copy)]
struct Ended {
    by: Position,
    incarnation: Incarnation,
    /// It is the end of the user, too.
    is_deletion: bool,
}

impl EndedStamps {
    /// Whether a record that is not applied yet has ended this stamp of the user.
    ///
    /// Ask before the projection is asked: a record is forgotten here after it was applied, so one of
    /// the two always tells.
    pub fn contains(&self, user: UserId, stamp: Position) -> bool {
        let ends = |ended: &Ended| stamp != ended.by && stamp.seq <= ended.by.seq;
        let is_ended = |whose| self.0.get(&whose).is_some_and(|all| all.iter().any(ends));
        is_ended(Whose::Of(user)) || is_ended(Whose::Everybodys)
    }

    /// Whether a record that is not applied yet deletes the user.
    pub fn has_deletion(&self, user: UserId) -> bool {
        self.0.get(&Whose::Of(user)).is_some_and(|all| all.iter().any(|ended| ended.is_deletion))
    }

    /// For the consumer: notes what the record ends.
    pub fn note(&self, incarnation: Incarnation, record: &ReceivedRecord) {
        let Some(data) = record.data.as_ref().filter(|data| ends_stamps(data)) else { return };
        let is_deletion = data.user().is_some_and(|change| change.user.is_none());
        let ended = Ended { by: record.position, incarnation, is_deletion };
        let mut all = self.0.entry(Whose::stamps(data)).or_default();
        match all.iter_mut().find(|known| known.incarnation == incarnation) {
            Some(known) if known.by.seq >= ended.by.seq => {}
            Some(known) => *known = ended,
            None => all.push(ended),
        }
    }

    /// For the consumer: the records up to the position that concern these were applied.
    pub fn forget(
        &self,
        concerned: impl IntoIterator<Item = Whose>,
        incarnation: Incarnation,
        through: Position,
    ) {
        for whose in concerned {
            self.0.remove_if_mut(&whose, |_, all| {
                all.retain(|known| known.incarnation != incarnation || known.by.seq > through.seq);
                all.is_empty()
            });
        }
    }

    /// For the consumer: an answer has shown which incarnation vouches for the log now. What others
    /// told may belong to a history that a restore has undone.
    pub fn keep_only(&self, incarnation: Incarnation, after: Position) {
        self.0.retain(|_, all| {
            all.retain(|known| known.incarnation == incarnation && known.by.seq > after.seq);
            !all.is_empty()
        });
    }
}

/// Whether a record with this data deletes a user or is a new stamp. A version that knew no stamps does
/// not say which of its records sets a password: of that the projection tells, a moment later.
fn ends_stamps(data: &RecordData) -> bool {
    match data {
        RecordData::Rewound(_) | RecordData::User(UserChange { user: None, .. }) => true,
        RecordData::User(UserChange { user: Some(state), written_by, .. }) => {
            state.stamp.is_none() && written_by.is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{LogRewound, RecordHash, UserState};

    const ANNA: UserId = UserId(1);
    const RUN: Incarnation = Incarnation([1; 16]);
    const NEXT_RUN: Incarnation = Incarnation([2; 16]);

    fn at(seq: i64, history: u8) -> Position {
        Position { seq, hash: RecordHash([history; 16]) }
    }

    fn record(position: Position, user: Option<UserState>) -> ReceivedRecord {
        with_data(position, UserChange { id: ANNA, user, written_by: Some(RUN) }.into())
    }

    fn with_data(position: Position, data: RecordData) -> ReceivedRecord {
        let (prev_hash, data) = (RecordHash::default(), Some(data));
        ReceivedRecord { position, prev_hash, data, sealed_hash: None, traceparent: None }
    }

    fn state(stamp: Option<Position>) -> UserState {
        let (username, username_key) = ("anna".to_owned(), "anna".to_owned());
        UserState {
            username,
            username_key,
            version: 1,
            password_version: 1,
            stamp,
            is_admin: false,
        }
    }

    #[test]
    fn a_stamp_is_ended_by_a_deletion_and_a_new_password_until_they_are_applied() {
        let ended = EndedStamps::default();
        ended.note(RUN, &record(at(7, 1), Some(state(Some(at(3, 1))))));
        assert!(!ended.contains(ANNA, at(3, 1)), "a rename ends nothing");
        for end in [None, Some(state(None))] {
            let is_deletion = end.is_none();
            ended.note(RUN, &record(at(9, 1), end));
            ended.note(RUN, &record(at(8, 1), None));
            assert!(ended.contains(ANNA, at(3, 1)) && !ended.contains(UserId(2), at(3, 1)));
            assert_eq!(ended.has_deletion(ANNA), is_deletion);
            assert!(!ended.contains(ANNA, at(9, 1)), "the new password's own tokens");
            ended.forget([Whose::Of(ANNA)], RUN, at(8, 1));
            assert!(ended.contains(ANNA, at(3, 1)), "only what came before was applied");
            ended.forget([Whose::Of(ANNA)], RUN, at(9, 1));
            assert!(!ended.contains(ANNA, at(3, 1)));
        }
    }

    #[test]
    fn a_log_that_went_back_ends_the_stamps_of_all_users_before_it() {
        let ended = EndedStamps::default();
        let rewound = LogRewound { ids_through: 1_000_000, written_by: Some(RUN) };
        ended.note(RUN, &with_data(at(9, 1), RecordData::Rewound(rewound)));
        for user in [ANNA, UserId(2)] {
            assert!(ended.contains(user, at(3, 1)) && ended.contains(user, at(9, 2)));
            assert!(!ended.contains(user, at(9, 1)), "the stamp that all have now");
            assert!(!ended.contains(user, at(10, 1)), "of a password that was set later");
        }
        ended.forget([Whose::Everybodys], RUN, at(9, 1));
        assert!(!ended.contains(ANNA, at(3, 1)), "now the projection tells");
    }

    #[test]
    fn a_history_that_was_undone_ends_nothing_of_the_present_one() {
        let ended = EndedStamps::default();
        ended.note(RUN, &record(at(20, 1), None));
        ended.note(NEXT_RUN, &record(at(9, 2), Some(state(None))));
        assert!(ended.contains(ANNA, at(9, 2)), "nobody knows yet which run is the present one");
        ended.keep_only(NEXT_RUN, at(8, 2));
        assert!(!ended.contains(ANNA, at(9, 2)));
        assert!(ended.contains(ANNA, at(9, 1)), "a lost user's token under a reused id");
    }
}
