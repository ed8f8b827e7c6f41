//! Proof that a head is not an old one that comes again: it repeats the name of a head that this
//! replica has just told.
//!
//! Whoever can write to the broker can keep heads, and send them again later. An old head hides what
//! has changed since, and it may promise that a set is whole which is not any more.

use std::collections::{BTreeMap, VecDeque};

use contract::ReplicaId;
use shared::tokens::liveness::FRESH_FOR_MS;
use shared::tokens::token_set::BootTime;

/// The names of heads, within one session.
pub(super) struct HeadNames {
    session: String,
    number: u64,
    /// The own ones that still prove something, with the time when each was told.
    told: VecDeque<(String, BootTime)>,
    heard: BTreeMap<ReplicaId, Heard>,
}

/// The last heads of another replica.
struct Heard {
    /// When the last one came.
    at: BootTime,
    /// The last one that was proven to be of now.
    of_now: Option<String>,
    /// The last one since then that was not. It may be of a replica that has just started.
    other: Option<String>,
}

impl HeadNames {
    pub(super) fn new(session: String) -> Self {
        Self { session, number: 0, told: VecDeque::new(), heard: BTreeMap::new() }
    }

    /// The name of the head that is told now.
    pub(super) fn next(&mut self, now: BootTime) -> String {
        self.told.retain(|(_, told_at)| is_recent(*told_at, now));
        self.number += 1;
        let name = format!("{}-{}", self.session, self.number);
        self.told.push_back((name.clone(), now));
        name
    }

    /// What is told to the others of their heads. Of one that is silent nothing: what it told before
    /// proves nothing any more.
    pub(super) fn heard(&mut self, now: BootTime) -> BTreeMap<ReplicaId, Vec<String>> {
        self.heard.retain(|_, heard| is_recent(heard.at, now));
        let names = |heard: &Heard| heard.of_now.iter().chain(&heard.other).cloned().collect();
        self.heard.iter().map(|(from, heard)| (*from, names(heard))).collect()
    }

    /// A head of this name came, which may be of now. Returns whether it is the first one of that
    /// replica, or the first one after it was silent.
    pub(super) fn hear(
        &mut self,
        from: ReplicaId,
        name: String,
        is_of_now: bool,
        now: BootTime,
    ) -> bool {
        let before = self.heard.remove(&from);
        let is_first = before.is_none();
        let heard = if is_of_now {
            Heard { at: now, of_now: Some(name), other: None }
        } else {
            // The other one stays: an old head that comes again must not take its place.
            let of_now = before.and_then(|before| before.of_now);
            Heard { at: now, of_now, other: Some(name) }
        };
        self.heard.insert(from, heard);
        is_first
    }

    /// Whether a head that repeats these names was made after one that this replica has just told.
    pub(super) fn is_of_now(&self, repeated: Option<&Vec<String>>, now: BootTime) -> bool {
        let is_it = |(name, told_at): &(String, BootTime)| {
            is_recent(*told_at, now) && repeated.is_some_and(|names| names.contains(name))
        };
        self.told.iter().any(is_it)
    }
}

fn is_recent(told_at: BootTime, now: BootTime) -> bool {
    now.since_ms(told_at) <= FRESH_FOR_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ReplicaId = ReplicaId([1; 16]);
    const NOW: BootTime = BootTime(5);

    #[test]
    fn a_head_is_of_now_if_it_repeats_a_name_that_was_told_lately() {
        let mut names = HeadNames::new("s".to_owned());
        let (begin, later) = (BootTime(5), BootTime(5 + FRESH_FOR_MS));
        let (first, second) = (names.next(begin), names.next(later));
        assert_ne!(first, second);
        let is_of_now =
            |name: &String, now| names.is_of_now(Some(&vec!["r-1".to_owned(), name.clone()]), now);
        assert!(is_of_now(&first, later) && is_of_now(&second, later));
        let even_later = BootTime(later.0 + 1);
        assert!(!is_of_now(&first, even_later) && is_of_now(&second, even_later));
        assert!(!is_of_now(&"s-3".to_owned(), later), "it was not told yet");
        assert!(!names.is_of_now(None, later), "that replica has heard nothing of this one");
        let other = HeadNames::new("t".to_owned());
        assert!(!other.is_of_now(Some(&vec![first]), later), "another session has told it");
    }

    #[test]
    fn an_old_head_does_not_take_the_place_of_one_that_is_of_now() {
        let mut names = HeadNames::new("s".to_owned());
        let mut hear = |name: &str, is_of_now| {
            let is_first = names.hear(ONE, name.to_owned(), is_of_now, NOW);
            (is_first, names.heard(NOW).remove(&ONE).unwrap().join(" "))
        };
        assert_eq!(hear("t-1", false), (true, "t-1".to_owned()));
        assert_eq!(hear("t-2", true), (false, "t-2".to_owned()));
        assert_eq!(hear("t-1", false), (false, "t-2 t-1".to_owned()));
        assert_eq!(hear("u-1", false), (false, "t-2 u-1".to_owned()), "a new session");
        assert_eq!(hear("u-2", true), (false, "u-2".to_owned()));
    }

    #[test]
    fn one_that_is_silent_is_not_named() {
        let mut names = HeadNames::new("s".to_owned());
        let (last, later) = (BootTime(NOW.0 + FRESH_FOR_MS), BootTime(NOW.0 + FRESH_FOR_MS + 1));
        assert!(names.hear(ONE, "t-1".to_owned(), true, NOW));
        assert!(names.heard(last).contains_key(&ONE));
        assert!(names.heard(later).is_empty());
        assert!(names.hear(ONE, "t-2".to_owned(), true, later), "it is there again");
    }
}
