//! The state of the world, and what is true in it.

use std::collections::{BTreeMap, BTreeSet};

use contract::TokenRecord;
use contract::token_record::{KeyId, TokenId, TokenLife};
use shared::tokens::liveness::{DeadReason, Verdict};
use shared::tokens::token_set::{BootTime, Learned, record_id};

use crate::mutant::Mutant;
use crate::replica::{Place, Queued, Replica};

/// How long a token lives.
pub(crate) const LIFETIME_S: i64 = 900;
/// How long the longer of two waits is: two of them outlast a token, and what is kept of it.
pub(crate) const WAIT_S: i64 = 500;
pub(crate) const START_S: i64 = 1_000_000;

/// A token that was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Token {
    pub(crate) jti: TokenId,
    pub(crate) sid: TokenId,
    pub(crate) life: TokenLife,
    pub(crate) iat_s: i64,
    pub(crate) signed_at: BootTime,
    pub(crate) stamp: Place,
}

/// The end of a session, as the client was told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct End {
    pub(crate) record: TokenRecord,
    /// The replica that answered, as long as its disk has not been lost since.
    pub(crate) taken_by: Option<usize>,
    /// The bus confirmed it.
    pub(crate) is_confirmed: bool,
}

/// Everything, everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) now: BootTime,
    /// The user's stamps in the log, oldest first; the last is the present one.
    pub(crate) log: Vec<Place>,
    pub(crate) log_copy: Option<Vec<Place>>,
    pub(crate) records_ever: u8,
    /// The next user's id, in the log and in its copy, and the ids that were given to people.
    pub(crate) next_id: u32,
    pub(crate) next_id_copy: u32,
    pub(crate) ids_given: Vec<u32>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) ends: BTreeMap<TokenId, End>,
    /// Keys that were killed by command or by a replica that was put back.
    pub(crate) killed: BTreeSet<KeyId>,
    /// Tokens whose fate is nobody's promise: two faults at once.
    pub(crate) uncertain: BTreeSet<TokenId>,
    /// What was ever published, and may be played again.
    pub(crate) recorded: BTreeSet<TokenRecord>,
    pub(crate) keys_ever: u8,
    pub(crate) tokens_ever: u8,
    pub(crate) was_born_dead: bool,
    pub(crate) faults: usize,
    pub(crate) waits: usize,
    pub(crate) changes: usize,
}

impl World {
    /// Two replicas that are ready, one user, and one session that began at the first replica.
    pub(crate) fn settled() -> Self {
        let first = Place { seq: 1, hash: 1 };
        let now = BootTime(0);
        let mut world = Self {
            now,
            log: vec![first],
            log_copy: None,
            records_ever: 1,
            next_id: 2,
            next_id_copy: 2,
            ids_given: vec![1],
            replicas: vec![Replica::new(vec![first]), Replica::new(vec![first])],
            tokens: vec![],
            ends: BTreeMap::new(),
            killed: BTreeSet::new(),
            uncertain: BTreeSet::new(),
            recorded: BTreeSet::new(),
            keys_ever: 0,
            tokens_ever: 0,
            was_born_dead: false,
            faults: 0,
            waits: 0,
            changes: 0,
        };
        for _ in 0..3 {
            for r in 0..2 {
                world.tend_keys(r);
            }
            world.heal();
        }
        world.log_copy = Some(world.log.clone());
        for replica in &mut world.replicas {
            replica.back_up();
        }
        world.log_in(0, None);
        world.log_in(1, None);
        world
    }

    /// From here on nothing fails any more: everybody hears everybody, and clocks are right.
    pub(crate) fn heal(&mut self) {
        for r in 0..self.replicas.len() {
            self.replicas[r].wall_ahead_s = 0;
            self.connect(r);
        }
        for _ in 0..2 {
            for r in 0..self.replicas.len() {
                self.drain(r);
                self.exchange(r, None);
                self.prove(r);
                self.drain(r);
            }
        }
    }

    pub(crate) fn connect(&mut self, r: usize) {
        if self.replicas[r].connect() {
            let waiting: Vec<_> = self.replicas[r].set.unconfirmed().collect();
            for record in waiting {
                self.publish(r, record);
            }
            self.note_who_is_missing();
        }
    }

    /// Who is there is heard within a second.
    pub(crate) fn note_who_is_missing(&mut self) {
        let there: Vec<_> = self.replicas.iter().map(|replica| replica.is_connected).collect();
        for (r, replica) in self.replicas.iter_mut().enumerate() {
            let mut others = there.iter().enumerate().filter(|(other, _)| *other != r);
            replica.is_anybody_missing = others.any(|(_, is_there)| !is_there);
        }
    }

    /// Hands the record to the bus, which confirms it when every replica's queue has it.
    pub(crate) fn publish(&mut self, r: usize, record: TokenRecord) {
        if !self.replicas[r].is_connected {
            return;
        }
        for (other, replica) in self.replicas.iter_mut().enumerate() {
            if other != r {
                replica.queue.push(Queued::Record(record.clone()));
            }
        }
        self.replicas[r].set.confirm(record_id(&record), self.now);
        for end in self.ends.values_mut().filter(|end| end.record == record) {
            end.is_confirmed = true;
        }
        self.recorded.insert(record);
    }

    /// The replica makes a record itself: on its disk first, then to the bus.
    pub(crate) fn make(&mut self, r: usize, record: TokenRecord) {
        let now = self.now;
        let change = self.replicas[r].set.insert(record.clone(), Learned::Here, now);
        if !change.is_empty() {
            self.publish(r, record);
        }
    }

    /// Takes everything out of the replica's own queue, in order.
    pub(crate) fn drain(&mut self, r: usize) {
        if !self.replicas[r].is_connected {
            return;
        }
        let stolen = self.replicas[r].drain(self.now);
        for (sid, ended_with) in stolen {
            self.end_session(r, sid, ended_with);
        }
    }

    pub(crate) fn end_session(&mut self, r: usize, sid: TokenId, ended_with: TokenLife) {
        let record = TokenRecord::SessionRevoked { sid, ended_with };
        let end = End { record: record.clone(), taken_by: Some(r), is_confirmed: false };
        self.ends.entry(sid).or_insert(end);
        self.make(r, record);
    }

    /// An answer of user_service, and a marker through the replica's own queue.
    pub(crate) fn prove(&mut self, r: usize) {
        let (now, log) = (self.now, self.log.clone());
        let replica = &mut self.replicas[r];
        if replica.is_connected {
            replica.follow(log, now);
            replica.queue.push(Queued::Marker(now));
        }
    }

    /// Merges the whole set of every other replica that is there. A question is answered after
    /// all that came before it in the queue of the one that is asked.
    pub(crate) fn exchange(&mut self, r: usize, mutant: Option<Mutant>) {
        if !self.replicas[r].is_connected {
            return;
        }
        for other in (0..self.replicas.len()).filter(|other| *other != r) {
            if self.replicas[other].is_connected {
                self.drain(other);
                let theirs = self.replicas[other].clone();
                let stolen = self.replicas[r].merge(&theirs, mutant, self.now);
                for (sid, ended_with) in stolen {
                    self.end_session(r, sid, ended_with);
                }
            }
        }
    }

    /// Whether the client was told that the token is dead, or everybody knows it is.
    pub(crate) fn is_dead(&self, token: &Token) -> bool {
        self.ends.contains_key(&token.sid)
            || self.killed.contains(&token.life.kid)
            || self.log.last() != Some(&token.stamp)
    }

    fn is_alive(&self, token: &Token) -> bool {
        let age_ms = self.now.since_ms(token.signed_at);
        let is_certain = !self.uncertain.contains(&token.sid);
        !self.is_dead(token) && is_certain && age_ms < LIFETIME_S * 1000
    }

    pub(crate) fn verdict(&self, r: usize, token: &Token, mutant: Option<Mutant>) -> Verdict {
        // The request arrives after all that was proved so far.
        self.replicas[r].verdict(token, self.now, BootTime(self.now.0 + 1), mutant)
    }

    /// No ready replica takes a token that was ended with success.
    pub(crate) fn dead_stay_dead(&self, mutant: Option<Mutant>) -> bool {
        self.tokens.iter().all(|token| {
            (0..self.replicas.len()).all(|r| {
                !self.must_know(r, token) || self.verdict(r, token, mutant) != Verdict::Alive
            })
        })
    }

    /// Whether the replica must know that the token is dead: it did it itself, or it is ready and
    /// the news is not on its way any more.
    fn must_know(&self, r: usize, token: &Token) -> bool {
        let replica = &self.replicas[r];
        let kill = TokenRecord::KeyKilled { kid: token.life.kid };
        let has_taken = |record: &TokenRecord| {
            replica.is_ready() && !replica.queue.contains(&Queued::Record(record.clone()))
        };
        let by_session = self.ends.get(&token.sid).is_some_and(|end| {
            end.taken_by == Some(r) || (end.is_confirmed && has_taken(&end.record))
        });
        let by_key = self.killed.contains(&token.life.kid)
            && self.recorded.contains(&kill)
            && has_taken(&kill);
        let by_stamp = self.log.last() != Some(&token.stamp)
            && replica.log == self.log
            && replica.is_connected;
        by_session || by_key || by_stamp
    }

    /// No replica says of a living token that it is dead, unless its own clock says so.
    pub(crate) fn living_are_not_refused(&self, mutant: Option<Mutant>) -> bool {
        let is_refused = |r: usize, token: &Token| {
            let verdict = self.verdict(r, token, mutant);
            matches!(verdict, Verdict::Dead(reason) if reason != DeadReason::Expired)
                && !self.replicas[r].trusts_nobody()
        };
        let mut living = self.tokens.iter().filter(|token| self.is_alive(token));
        living.all(|token| (0..self.replicas.len()).all(|r| !is_refused(r, token)))
    }

    /// When all is well again, every living token is taken everywhere, or is not good yet.
    pub(crate) fn living_are_taken_in_the_end(&self, mutant: Option<Mutant>) -> bool {
        let mut healed = self.clone();
        healed.heal();
        let is_taken = |r: usize, token: &Token| {
            let verdict = healed.replicas[r].verdict(token, healed.now, healed.now, mutant);
            match verdict {
                Verdict::Alive => true,
                Verdict::Dead(reason) => reason == DeadReason::Expired,
                Verdict::Unknown(doubt) => doubt == shared::tokens::liveness::Doubt::NotGoodYet,
            }
        };
        let mut living = healed.tokens.iter().filter(|token| healed.is_alive(token));
        living.all(|token| (0..healed.replicas.len()).all(|r| is_taken(r, token)))
    }

    /// No two people have one id.
    pub(crate) fn ids_are_given_once(&self) -> bool {
        let distinct: BTreeSet<_> = self.ids_given.iter().collect();
        distinct.len() == self.ids_given.len()
    }

    /// A session that was refreshed has ended, and a replica knows of both.
    pub(crate) fn has_ended_a_refreshed_session(&self) -> bool {
        let refreshed = self.tokens.iter().filter(|token| token.jti != token.sid);
        refreshed.map(|token| token.sid).any(|sid| {
            self.ends.contains_key(&sid)
                && self.replicas.iter().all(|replica| replica.set.is_revoked(&sid))
        })
    }

    /// A session has ended, and no replica remembers it, but for the horizon.
    pub(crate) fn has_forgotten_an_end(&self) -> bool {
        self.ends.iter().any(|(sid, end)| {
            end.is_confirmed
                && self.replicas.iter().all(|replica| {
                    !replica.set.is_revoked(sid) && replica.set.horizons().iter().next().is_some()
                })
        })
    }
}
