//! One replica of auth_service: its files, its memory, its queue, and how it judges a token.

use contract::TokenRecord;
use contract::token_record::{Horizons, KeyId, SigningAlgorithm, TokenId, TokenLife};
use shared::tokens::key_schedule::{Clocks, KeyRules, KeySchedule, OwnKey};
use shared::tokens::key_trust::{KeyTrust, Trust};
use shared::tokens::liveness::{
    Freshness, KeyStanding, Moment, StampAnswer, TokenTimes, Verdict, judge,
};
use shared::tokens::token_set::{BootTime, KeyEntry, Learned, TokenSet};

use crate::mutant::Mutant;
use crate::world::{LIFETIME_S, START_S, Token};

const LEEWAY_S: i64 = 5;

pub(crate) const RULES: KeyRules = KeyRules {
    rotation_s: 30 * 86_400,
    max_age_s: 300,
    warmup_s: 0,
    lifetime_s: LIFETIME_S,
    leeway_s: LEEWAY_S,
    algorithm: SigningAlgorithm::EdDsa,
};

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) seq: i64,
    pub(crate) hash: u8,
}

/// What waits in a replica's queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Queued {
    Record(TokenRecord),
    /// Its own, sent at this time.
    Marker(BootTime),
}

/// What is in `tokens.db`, and the private keys beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    /// Each with whether the bus has confirmed it.
    records: Vec<(TokenRecord, bool)>,
    horizons: Horizons,
    own: Vec<OwnKey>,
}

/// Whether the replica has what the others have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Level {
    /// It was started or connected, and has not heard from the others since.
    Started,
    /// The same, and records were lost on their way here.
    QueueLost,
    /// It has merged the sets of the others, or found nobody.
    Exchanged,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Replica {
    pub(crate) set: TokenSet,
    pub(crate) schedule: KeySchedule,
    pub(crate) trust: KeyTrust,
    pub(crate) copy: Option<Disk>,
    /// The projection: the stamps of the user that it has applied.
    pub(crate) log: Vec<Place>,
    pub(crate) log_copy: Vec<Place>,
    pub(crate) queue: Vec<Queued>,
    pub(crate) wall_ahead_s: i64,
    pub(crate) is_connected: bool,
    pub(crate) level: Level,
    users_asked_at: Option<BootTime>,
    log_end_seq: i64,
    set_marked_at: Option<BootTime>,
    cut_off_since: Option<BootTime>,
    /// Another replica is cut off.
    pub(crate) is_anybody_missing: bool,
    /// Only for the mutant that takes horizons from the clock.
    pub(crate) clock_horizon_s: Option<i64>,
}

impl Replica {
    pub(crate) fn new(log: Vec<Place>) -> Self {
        Self {
            set: TokenSet::default(),
            schedule: KeySchedule::new(RULES, vec![]),
            trust: KeyTrust::of_a_kept_set(),
            copy: None,
            log_copy: log.clone(),
            log,
            queue: vec![],
            wall_ahead_s: 0,
            is_connected: true,
            level: Level::Started,
            users_asked_at: None,
            log_end_seq: 0,
            set_marked_at: None,
            cut_off_since: None,
            is_anybody_missing: false,
            clock_horizon_s: None,
        }
    }

    pub(crate) fn wall_s(&self, now: BootTime) -> i64 {
        START_S + now.0 / 1000 + self.wall_ahead_s
    }

    pub(crate) fn clocks(&self, now: BootTime) -> Clocks {
        Clocks { boot_id: [1; 16], boot: now, wall_s: self.wall_s(now) }
    }

    fn disk(&self) -> Disk {
        let unconfirmed: Vec<_> = self.set.unconfirmed().collect();
        let records = self.set.records();
        Disk {
            records: records
                .map(|record| {
                    let is_confirmed = !unconfirmed.contains(&record);
                    (record, is_confirmed)
                })
                .collect(),
            horizons: self.set.horizons().clone(),
            own: self.schedule.own().to_vec(),
        }
    }

    pub(crate) fn back_up(&mut self) {
        self.copy = Some(self.disk());
        self.log_copy.clone_from(&self.log);
    }

    /// Reads the files; whatever was in memory is gone, and with it all ages.
    fn load(&mut self, disk: Disk, now: BootTime) {
        self.set = TokenSet::default();
        self.set.merge_horizons(&disk.horizons);
        for (record, is_confirmed) in disk.records {
            let learned = if is_confirmed { Learned::Now } else { Learned::Here };
            self.set.insert(record, learned, now);
        }
        self.schedule = KeySchedule::new(RULES, disk.own);
        self.start_over();
    }

    pub(crate) fn restart(&mut self, now: BootTime) {
        self.load(self.disk(), now);
    }

    /// An older `tokens.db` was put back; which keys it names as this replica's own.
    pub(crate) fn put_back(&mut self, now: BootTime) -> Vec<KeyId> {
        let Some(disk) = self.copy.clone() else { return vec![] };
        let own = disk.own.iter().map(|key| key.kid).collect();
        self.load(Disk { own: vec![], ..disk }, now);
        self.trust = KeyTrust::of_a_set_with_gaps();
        own
    }

    /// Everything is lost; the queue is a new one, for a new random id.
    pub(crate) fn wipe(&mut self) {
        let (copy, is_anybody_missing) = (self.copy.take(), self.is_anybody_missing);
        *self = Self { copy, is_anybody_missing, ..Self::new(vec![]) };
        self.trust = KeyTrust::of_a_set_with_gaps();
    }

    /// Whether it was not connected.
    pub(crate) fn connect(&mut self) -> bool {
        let is_new = !self.is_connected;
        if is_new {
            self.is_connected = true;
            self.cut_off_since = None;
            self.start_over();
        }
        is_new
    }

    pub(crate) fn disconnect(&mut self, now: BootTime) {
        self.is_connected = false;
        self.cut_off_since = Some(now);
    }

    fn start_over(&mut self) {
        if self.level == Level::Exchanged {
            self.level = Level::Started;
        }
        self.forget_proofs();
    }

    pub(crate) fn forget_proofs(&mut self) {
        self.users_asked_at = None;
        self.set_marked_at = None;
    }

    /// The broker comes back with nothing.
    pub(crate) fn lose_queue(&mut self) {
        self.queue.clear();
        self.level = Level::QueueLost;
        self.forget_proofs();
    }

    /// The published key is known here and believed, or it is known to be dead.
    pub(crate) fn knows_key(&self, kid: &KeyId) -> bool {
        self.standing(kid, None) != KeyStanding::Unknown
            && self.standing(kid, None) != KeyStanding::NotTrustedYet
    }

    pub(crate) fn forget(&mut self, now: BootTime, mutant: Option<Mutant>) {
        let today_s = 60;
        let early_s = if mutant == Some(Mutant::TodaysLifetime) { LIFETIME_S - today_s } else { 0 };
        let change = self.set.forget(BootTime(now.0 + early_s * 1000));
        if !change.raised.is_empty() {
            self.clock_horizon_s = self.clock_horizon_s.max(Some(self.wall_s(now)));
        }
        if mutant == Some(Mutant::KilledKeysForgotten) {
            let kept = self.set.records();
            let kept = kept.filter(|record| !matches!(record, TokenRecord::KeyKilled { .. }));
            let mut set = TokenSet::default();
            set.merge_horizons(self.set.horizons());
            kept.for_each(|record| drop(set.insert(record, Learned::Now, now)));
            self.set = set;
        }
    }

    pub(crate) fn follow(&mut self, log: Vec<Place>, now: BootTime) {
        self.log_end_seq = log.last().map_or(0, |place| place.seq);
        self.log = log;
        self.users_asked_at = Some(now);
    }

    pub(crate) fn drain(&mut self, now: BootTime) -> Vec<(TokenId, TokenLife)> {
        let mut stolen = vec![];
        for queued in std::mem::take(&mut self.queue) {
            match queued {
                Queued::Record(record) => {
                    stolen.extend(self.set.insert(record, Learned::Now, now).stolen);
                }
                Queued::Marker(sent_at) if self.level == Level::Exchanged => {
                    self.set_marked_at = Some(sent_at);
                }
                Queued::Marker(_) => {}
            }
        }
        stolen
    }

    /// Merges all parts in which the other's set differs.
    pub(crate) fn merge(
        &mut self,
        theirs: &Self,
        mutant: Option<Mutant>,
        now: BootTime,
    ) -> Vec<(TokenId, TokenLife)> {
        if mutant == Some(Mutant::SnapshotEmptiesOthers) {
            self.set = TokenSet::default();
        }
        self.set.merge_horizons(theirs.set.horizons());
        let mut stolen = vec![];
        for part in self.set.differing_parts(&theirs.set.summary(now), now) {
            stolen.extend(self.set.merge(theirs.set.records_of(part, now), now).stolen);
        }
        if theirs.trust.is_whole() {
            self.trust.merged_whole_set();
        } else {
            self.trust.merged_set_with_gaps(&theirs.trust);
        }
        self.level = Level::Exchanged;
        stolen
    }

    /// The end of a session is in its set, or on its way, or was forgotten in time.
    pub(crate) fn knows_end(&self, sid: &TokenId, record: &TokenRecord) -> bool {
        let TokenRecord::SessionRevoked { ended_with, .. } = record else { return false };
        self.set.is_revoked(sid)
            || self.queue.contains(&Queued::Record(record.clone()))
            || self.set.horizons().covers(ended_with)
    }

    /// The key was published here, or that is on its way.
    pub(crate) fn has_heard_of(&self, kid: &KeyId) -> bool {
        let is_statement = |queued: &Queued| matches!(queued, Queued::Record(TokenRecord::KeyPublished(key)) if key.kid == *kid);
        self.set.key(kid).is_some() || self.queue.iter().any(is_statement)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_connected && self.level == Level::Exchanged
    }

    pub(crate) fn trusts_nobody(&self) -> bool {
        matches!(self.trust, KeyTrust::MadeSince { is_alone: true, .. })
    }

    /// Whether a statement about a key is on its way here.
    pub(crate) fn awaits_keys(&self) -> bool {
        let is_key =
            |queued: &Queued| matches!(queued, Queued::Record(TokenRecord::KeyPublished(_)));
        self.queue.iter().any(is_key)
    }

    pub(crate) fn freshness(&self) -> Freshness {
        Freshness {
            users_asked_at: self.users_asked_at,
            log_end_seq: self.log_end_seq,
            set_marked_at: self.set_marked_at,
            is_anybody_missing: self.is_anybody_missing || self.awaits_keys(),
            users_cut_off_since: self.cut_off_since,
            set_cut_off_since: self.cut_off_since,
            refuse_after_ms: None,
        }
    }

    pub(crate) fn horizon_s(&self, kid: &KeyId, mutant: Option<Mutant>) -> Option<i64> {
        match mutant {
            Some(Mutant::NoHorizon) => None,
            Some(Mutant::HorizonFromClock) => self.clock_horizon_s,
            _ => self.set.horizons().of(kid),
        }
    }

    fn standing(&self, kid: &KeyId, mutant: Option<Mutant>) -> KeyStanding {
        match (self.set.key(kid), self.trust.of(kid)) {
            (Some(KeyEntry::Killed), _) => KeyStanding::Killed,
            (Some(KeyEntry::Published(key, _)), Trust::Yes) => KeyStanding::Good {
                lifetime_s: key.lifetime_s,
                horizon_s: self.horizon_s(kid, mutant),
            },
            (Some(KeyEntry::Published(..)), Trust::NotYet) => KeyStanding::NotTrustedYet,
            (None, _) | (_, Trust::No) => KeyStanding::Unknown,
        }
    }

    fn stamp(&self, stamp: Place, mutant: Option<Mutant>) -> StampAnswer {
        if mutant == Some(Mutant::CounterForStamp) {
            let present = self.log.last().map(|place| place.seq);
            let is_same = present == Some(stamp.seq);
            return if is_same { StampAnswer::Present } else { StampAnswer::Replaced };
        }
        let applied_seq = self.log.last().map_or(0, |place| place.seq);
        if self.log.last() == Some(&stamp) {
            StampAnswer::Present
        } else if self.log.contains(&stamp) {
            StampAnswer::Replaced
        } else {
            StampAnswer::Other { stamp_seq: stamp.seq, applied_seq }
        }
    }

    pub(crate) fn verdict(
        &self,
        token: &Token,
        now: BootTime,
        arrived: BootTime,
        mutant: Option<Mutant>,
    ) -> Verdict {
        let times = TokenTimes {
            iat_s: token.iat_s,
            nbf_s: token.iat_s - LEEWAY_S,
            exp_s: token.life.exp_s,
        };
        let at = Moment { wall_s: self.wall_s(now), leeway_s: LEEWAY_S, boot: now, arrived };
        judge(
            &times,
            &self.freshness(),
            self.set.is_revoked(&token.sid),
            self.standing(&token.life.kid, mutant),
            self.stamp(token.stamp, mutant),
            &at,
        )
    }
}
