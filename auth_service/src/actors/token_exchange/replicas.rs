//! What is known of the other replicas, as HTTP workers, the owner of the keys and probes read it.

use std::collections::{BTreeMap, BTreeSet};

use contract::ReplicaId;
use contract::token_record::KeyId;
use shared::tokens::liveness::{FRESH_FOR_MS, Freshness};
use shared::tokens::token_set::{BootTime, LONGEST_LIFETIME_S};
use tokio::sync::watch;

use super::roll_call::Others;

/// That a replica was seen is stored so often.
const STORED_FOR_MS: i64 = 10 * 60 * 1000;

/// What the exchange knows. It alone writes it.
#[derive(Clone, Debug)]
pub struct KnownReplicas {
    /// No other process can be on the bus.
    is_alone: bool,
    /// The sets of all replicas that answered have been merged, at least once since the start.
    is_level: bool,
    /// When the last marker was sent that has come back.
    marked_at: Option<BootTime>,
    /// Since when there is no session with the others, after one failed.
    cut_off_since: Option<BootTime>,
    /// Since when records that came cannot be stored.
    unstored_since: Option<BootTime>,
    others: BTreeMap<ReplicaId, Other>,
}

/// Another replica.
#[derive(Clone, Debug)]
struct Other {
    seen_at: BootTime,
    /// The time that is stored.
    stored_at: BootTime,
    /// Its last head, if this process has heard it.
    heard_at: Option<BootTime>,
    /// The keys whose tokens it accepted then.
    keys: BTreeSet<KeyId>,
}

impl KnownReplicas {
    /// At the start: those that were stored.
    pub fn new(is_alone: bool, stored: impl IntoIterator<Item = (ReplicaId, BootTime)>) -> Self {
        let unheard =
            |seen_at| Other { seen_at, stored_at: seen_at, heard_at: None, keys: BTreeSet::new() };
        let others = stored.into_iter().map(|(id, seen_at)| (id, unheard(seen_at))).collect();
        Self {
            is_alone,
            is_level: is_alone,
            marked_at: None,
            cut_off_since: None,
            unstored_since: None,
            others,
        }
    }

    /// There is no session any more.
    pub(super) fn cut_off(&mut self, now: BootTime) {
        self.cut_off_since.get_or_insert(now);
        self.marked_at = None;
    }

    /// All sets have been merged.
    pub(super) fn all_merged(&mut self) {
        (self.is_level, self.cut_off_since) = (true, None);
    }

    /// A marker that was sent then has come back.
    pub(super) fn marked(&mut self, sent_at: BootTime) {
        self.marked_at = self.marked_at.max(Some(sent_at));
    }

    /// What came cannot be stored at the moment.
    pub(super) fn not_stored(&mut self, now: BootTime) {
        self.unstored_since.get_or_insert(now);
    }

    /// It is stored. Returns whether that is news.
    pub(super) fn stored(&mut self) -> bool {
        self.unstored_since.take().is_some()
    }

    /// What is known of the others at the beginning of a session, if a queue takes heads there, or none does.
    pub(super) fn others(&self, is_taken: bool, has_new_gap: bool, now: BootTime) -> Others {
        // After a session that failed, the queue may be the one of that session.
        let is_of_another = is_taken && self.cut_off_since.is_none();
        let was_one_there = || self.others.values().any(|other| other.is_remembered(now));
        if is_of_another {
            Others::Present
        } else if is_taken || has_new_gap || was_one_there() {
            Others::Possible
        } else {
            Others::Absent
        }
    }

    /// The head of another replica came. Returns whether that is to be stored.
    pub(super) fn heard(
        &mut self,
        id: ReplicaId,
        keys: impl IntoIterator<Item = KeyId>,
        now: BootTime,
    ) -> bool {
        self.others.retain(|_, other| other.is_remembered(now));
        let stored_at = self.others.get(&id).map(|other| other.stored_at);
        let is_recent = |at: &BootTime| now.since_ms(*at) <= STORED_FOR_MS;
        let recently = stored_at.filter(is_recent);
        let (heard_at, keys) = (Some(now), keys.into_iter().collect());
        let stored_at = recently.unwrap_or(now);
        self.others.insert(id, Other { seen_at: now, stored_at, heard_at, keys });
        recently.is_none()
    }

    fn cut_off_since(&self) -> Option<BootTime> {
        [self.cut_off_since, self.unstored_since].into_iter().flatten().min()
    }

    fn heard_now(&self, now: BootTime) -> impl Iterator<Item = &Other> {
        self.others.values().filter(move |other| other.is_heard(now))
    }

    /// How many were seen within the longest lifetime and are silent.
    fn missing(&self, now: BootTime) -> usize {
        let is_missing = |other: &&Other| !other.is_heard(now) && other.is_remembered(now);
        self.others.values().filter(is_missing).count()
    }

    fn is_everywhere(&self, kid: &KeyId, now: BootTime) -> bool {
        if self.cut_off_since().is_some() {
            // Nobody can be told. Those that hear of the key later say so: see the decision.
            return true;
        }
        self.is_level && self.heard_now(now).all(|other| other.keys.contains(kid))
    }
}

impl Other {
    fn is_heard(&self, now: BootTime) -> bool {
        self.heard_at.is_some_and(|at| now.since_ms(at) <= FRESH_FOR_MS)
    }

    /// Seen within the longest lifetime.
    fn is_remembered(&self, now: BootTime) -> bool {
        now.since_ms(self.seen_at) <= LONGEST_LIFETIME_S * 1000
    }
}

/// The end of the readers. Clones show the same.
#[derive(Clone, Debug)]
pub struct Replicas(watch::Receiver<KnownReplicas>);

impl Replicas {
    /// What the exchange shows through this channel.
    pub fn new(known: watch::Receiver<KnownReplicas>) -> Self {
        Self(known)
    }

    /// Tells of each change of what is known.
    pub fn changes(&self) -> watch::Receiver<KnownReplicas> {
        self.0.clone()
    }

    /// How fresh this replica is, when `users` says how fresh its projection is.
    pub fn freshness(&self, users: Freshness, now: BootTime) -> Freshness {
        let known = self.0.borrow();
        Freshness {
            set_marked_at: if known.is_alone { Some(now) } else { known.marked_at },
            is_anybody_missing: known.missing(now) > 0,
            set_cut_off_since: known.cut_off_since(),
            ..users
        }
    }

    /// Whether every replica that is there accepts the tokens of this key.
    pub fn is_everywhere(&self, kid: &KeyId, now: BootTime) -> bool {
        self.0.borrow().is_everywhere(kid, now)
    }

    /// Whether a record that is published can be expected to be confirmed.
    pub fn is_connected(&self) -> bool {
        self.0.borrow().cut_off_since.is_none()
    }

    /// Whether it has heard from the others since the start, or cannot.
    pub fn is_ready(&self) -> bool {
        let known = self.0.borrow();
        known.is_level || known.cut_off_since().is_some()
    }

    /// Since when it is cut off from the others.
    pub fn cut_off_since(&self) -> Option<BootTime> {
        self.0.borrow().cut_off_since()
    }

    /// How many others are there, and how many were and are silent.
    pub fn count(&self, now: BootTime) -> (usize, usize) {
        let known = self.0.borrow();
        (known.heard_now(now).count(), known.missing(now))
    }

    /// When the last marker was sent that has come back.
    pub fn marked_at(&self) -> Option<BootTime> {
        self.0.borrow().marked_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KID: KeyId = KeyId([1; 32]);
    const ONE: ReplicaId = ReplicaId([1; 16]);
    const NOW: BootTime = BootTime(100_000_000);

    fn later(ms: i64) -> BootTime {
        BootTime(NOW.0 + ms)
    }

    const USERS: Freshness = Freshness {
        users_asked_at: Some(NOW),
        log_end_seq: 0,
        set_marked_at: None,
        is_anybody_missing: true,
        users_cut_off_since: None,
        set_cut_off_since: None,
        refuse_after_ms: None,
    };

    #[test]
    fn a_key_is_everywhere_when_all_who_are_there_have_it() {
        let mut known = KnownReplicas::new(false, []);
        assert!(!known.is_everywhere(&KID, NOW), "nobody has been asked yet");
        known.all_merged();
        assert!(known.is_everywhere(&KID, NOW));
        assert!(known.heard(ONE, [], NOW), "it is new");
        assert!(!known.is_everywhere(&KID, NOW));
        assert!(known.is_everywhere(&KID, later(FRESH_FOR_MS + 1)), "it is silent");
        assert!(!known.heard(ONE, [KID], NOW));
        assert!(known.is_everywhere(&KID, NOW));
        let mut cut_off = KnownReplicas::new(false, []);
        cut_off.cut_off(NOW);
        assert!(cut_off.is_everywhere(&KID, NOW), "logins go on");
    }

    #[test]
    fn who_was_seen_within_a_day_and_is_silent_is_missing() {
        let day_ms = LONGEST_LIFETIME_S * 1000;
        let mut known = KnownReplicas::new(false, [(ONE, NOW)]);
        assert_eq!((known.missing(NOW), known.missing(later(day_ms + 1))), (1, 0));
        assert!(!known.heard(ONE, [], later(5)));
        assert_eq!(known.missing(later(5)), 0);
        assert!(known.heard(ONE, [], later(STORED_FOR_MS + 1)), "the stored time is old");
        assert!(!known.heard(ONE, [], later(5)));
        assert_eq!(known.missing(later(6 + FRESH_FOR_MS)), 1);
    }

    #[test]
    fn others_are_present_by_their_queue_and_possible_while_nothing_excludes_them() {
        let day_later = later(LONGEST_LIFETIME_S * 1000 + 1);
        let (mut unseen, seen) =
            (KnownReplicas::new(false, []), KnownReplicas::new(false, [(ONE, NOW)]));
        assert_eq!(unseen.others(true, false, NOW), Others::Present);
        assert_eq!(unseen.others(false, false, NOW), Others::Absent);
        assert_eq!(unseen.others(false, true, NOW), Others::Possible, "nothing is known of before");
        assert_eq!(seen.others(false, false, NOW), Others::Possible);
        assert_eq!(seen.others(false, false, day_later), Others::Absent);
        unseen.cut_off(NOW);
        assert_eq!(unseen.others(true, false, NOW), Others::Possible, "it may be its own queue");
        assert_eq!(unseen.others(false, false, NOW), Others::Absent);
    }

    #[test]
    fn being_cut_off_is_shown_from_its_beginning_until_all_is_level_again() {
        let (sender, known) = watch::channel(KnownReplicas::new(false, []));
        let replicas = Replicas::new(known);
        assert!(!replicas.is_ready());
        sender.send_modify(|known| known.marked(NOW));
        assert_eq!(replicas.freshness(USERS, NOW).set_marked_at, Some(NOW));
        for at in [NOW, later(9)] {
            sender.send_modify(|known| known.cut_off(at));
        }
        let freshness = replicas.freshness(USERS, later(9));
        assert_eq!((freshness.set_marked_at, freshness.set_cut_off_since), (None, Some(NOW)));
        assert!(replicas.is_ready(), "with what it has");
        sender.send_modify(KnownReplicas::all_merged);
        assert_eq!(replicas.freshness(USERS, NOW).set_cut_off_since, None);
        sender.send_modify(|known| known.not_stored(NOW));
        assert_eq!(replicas.cut_off_since(), Some(NOW));
        assert!(sender.send_if_modified(KnownReplicas::stored));
        assert_eq!(replicas.cut_off_since(), None);
    }
}
