//! What can happen in the world, and how often.

use contract::TokenRecord;
use contract::token_record::{TokenId, TokenLife, Trade};
use shared::tokens::key_schedule::Signer;
use shared::tokens::key_trust::KeyTrust;
use shared::tokens::liveness::Verdict;
use shared::tokens::token_set::{BootTime, Learned, TradeVerdict};

use crate::mutant::Mutant;
use crate::replica::{Level, Place};
use crate::world::{LIFETIME_S, Token, WAIT_S, World};

/// What may happen next; the first number is the replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    LogIn(usize),
    LogOut(usize, usize),
    Refresh(usize, usize),
    ChangePassword,
    CreateUser,
    Drain(usize),
    Prove(usize),
    Exchange(usize),
    FindNobody(usize),
    Disconnect(usize),
    Connect(usize),
    Restart(usize),
    PutBackTokens(usize),
    Wipe(usize),
    PutBackProjection(usize),
    PutBackUsers,
    WipeBroker,
    /// A recorded message comes again.
    Replay(usize, TokenRecord),
    /// The wall clock is set so far ahead of the right time.
    SetClock(usize, i64),
    /// A short time passes, or a long one.
    Wait(i64),
    Rotate(usize),
    KillKey(usize),
    /// The keys are stated again, as every hour.
    StateKeys(usize),
}

/// How far the model looks.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// Disconnections, restarts, restores, losses, replays and clocks that are set.
    pub(crate) faults: usize,
    /// Long waits.
    pub(crate) waits: usize,
    /// Changes of passwords, users and keys.
    pub(crate) changes: usize,
    pub(crate) tokens: usize,
    /// Nothing else happens.
    pub(crate) only: fn(&Action) -> bool,
}

impl World {
    pub(crate) fn possible(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        self.imaginable(bounds, actions);
        actions.retain(|action| (bounds.only)(action));
    }

    fn imaginable(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        for r in 0..self.replicas.len() {
            self.requests(r, bounds, actions);
            self.protocol(r, actions);
            if self.faults < bounds.faults {
                self.faults(r, actions);
            }
            if self.changes < bounds.changes {
                actions.extend([Action::Rotate(r), Action::KillKey(r)]);
            }
        }
        if self.changes < bounds.changes {
            actions.extend([Action::ChangePassword, Action::CreateUser]);
        }
        if self.faults < bounds.faults {
            actions.extend([Action::PutBackUsers, Action::WipeBroker]);
        }
        if self.waits < bounds.waits {
            actions.extend([Action::Wait(WAIT_S), Action::Wait(15)]);
        }
    }

    fn requests(&self, r: usize, bounds: &Bounds, actions: &mut Vec<Action>) {
        if self.tokens.len() < bounds.tokens {
            actions.push(Action::LogIn(r));
        }
        for t in 0..self.tokens.len() {
            if !self.ends.contains_key(&self.tokens[t].sid) {
                actions.push(Action::LogOut(r, t));
            }
            if self.tokens.len() < bounds.tokens {
                actions.push(Action::Refresh(r, t));
            }
        }
    }

    fn protocol(&self, r: usize, actions: &mut Vec<Action>) {
        let replica = &self.replicas[r];
        if !replica.is_connected {
            actions.push(Action::Connect(r));
            return;
        }
        actions.extend([Action::Prove(r), Action::Exchange(r)]);
        if !replica.queue.is_empty() {
            actions.push(Action::Drain(r));
        }
        if replica.level != Level::Exchanged {
            actions.push(Action::FindNobody(r));
        }
    }

    fn faults(&self, r: usize, actions: &mut Vec<Action>) {
        actions.extend([
            Action::Restart(r),
            Action::PutBackTokens(r),
            Action::Wipe(r),
            Action::PutBackProjection(r),
            Action::StateKeys(r),
            Action::SetClock(r, 0),
            Action::SetClock(r, 3_600),
            // Further back, and what is asked about is not good yet.
            Action::SetClock(r, -600),
            Action::SetClock(r, 120),
        ]);
        if self.replicas[r].is_connected {
            actions.push(Action::Disconnect(r));
        }
        actions.extend(self.recorded.iter().map(|record| Action::Replay(r, record.clone())));
    }

    pub(crate) fn act(&mut self, action: &Action, mutant: Option<Mutant>) {
        match action {
            Action::LogIn(r) => self.log_in(*r, mutant),
            Action::LogOut(r, t) => self.log_out(*r, *t, mutant),
            Action::Refresh(r, t) => self.refresh(*r, *t, mutant),
            Action::ChangePassword => self.append_place(),
            Action::CreateUser => self.create_user(),
            Action::Drain(r) => self.drain(*r),
            Action::Prove(r) => self.prove(*r),
            Action::Exchange(r) => self.exchange(*r, mutant),
            Action::FindNobody(r) => self.find_nobody(*r),
            Action::Connect(r) => self.connect(*r),
            Action::Wait(seconds) => self.wait(*seconds, mutant),
            Action::Rotate(r) => {
                self.changes += 1;
                self.replicas[*r].schedule.command_rotation();
                self.tend_keys(*r);
            }
            Action::KillKey(r) => self.kill_key(*r),
            fault => {
                self.faults += 1;
                self.fail(fault, mutant);
            }
        }
    }

    fn fail(&mut self, fault: &Action, mutant: Option<Mutant>) {
        let now = self.now;
        match fault {
            Action::Disconnect(r) => {
                self.replicas[*r].disconnect(now);
                self.note_who_is_missing();
            }
            Action::Restart(r) => {
                self.replicas[*r].restart(now);
                self.started(*r, mutant);
            }
            Action::PutBackTokens(r) => self.put_back_tokens(*r, mutant),
            Action::Wipe(r) => {
                self.wipe(*r, mutant);
                self.note_who_is_missing();
            }
            Action::PutBackProjection(r) => {
                let replica = &mut self.replicas[*r];
                replica.log.clone_from(&replica.log_copy);
                replica.forget_proofs();
            }
            Action::PutBackUsers => self.put_back_users(mutant),
            Action::WipeBroker => {
                for replica in &mut self.replicas {
                    replica.lose_queue();
                }
            }
            Action::Replay(r, record) => {
                self.replicas[*r].set.insert(record.clone(), Learned::Now, now);
            }
            Action::SetClock(r, ahead_s) => self.replicas[*r].wall_ahead_s = *ahead_s,
            Action::StateKeys(r) => self.state_keys(*r),
            _ => {}
        }
    }

    pub(crate) fn log_in(&mut self, r: usize, mutant: Option<Mutant>) {
        let Some(&stamp) = self.replicas[r].log.last() else { return };
        let sid = self.new_token_id();
        if let Some(token) = self.sign(r, sid, sid, stamp, mutant) {
            self.hand_out(r, token, mutant);
        }
    }

    fn new_token_id(&mut self) -> TokenId {
        self.tokens_ever += 1;
        TokenId([self.tokens_ever; 16])
    }

    /// Signs as the schedule says; nothing if no key may sign now.
    fn sign(
        &mut self,
        r: usize,
        jti: TokenId,
        sid: TokenId,
        stamp: Place,
        mutant: Option<Mutant>,
    ) -> Option<Token> {
        self.tend_keys(r);
        let replica = &mut self.replicas[r];
        let clocks = replica.clocks(self.now);
        let kid = match replica.schedule.signer(&clocks, |kid| replica.horizon_s(kid, mutant)) {
            Signer::Key(kid) => kid,
            Signer::Raise(kid, ceiling_s) => {
                replica.schedule.raise_ceiling(kid, ceiling_s);
                kid
            }
            Signer::None => return None,
        };
        let iat_s = clocks.wall_s;
        let life = TokenLife { kid, exp_s: iat_s + LIFETIME_S };
        Some(Token { jti, sid, life, iat_s, signed_at: self.now, stamp })
    }

    fn hand_out(&mut self, r: usize, token: Token, mutant: Option<Mutant>) {
        self.was_born_dead |= matches!(self.verdict(r, &token, mutant), Verdict::Dead(_));
        self.tokens.push(token);
    }

    fn log_out(&mut self, r: usize, t: usize, mutant: Option<Mutant>) {
        let token = self.tokens[t].clone();
        if self.verdict(r, &token, mutant) == Verdict::Alive {
            self.end_session(r, token.sid, token.life);
        }
    }

    fn refresh(&mut self, r: usize, t: usize, mutant: Option<Mutant>) {
        let old = self.tokens[t].clone();
        let careless = mutant == Some(Mutant::RefreshWhileNotFresh);
        let replica = &self.replicas[r];
        let is_fresh = replica.is_connected && replica.freshness().allows_trades(self.now);
        if self.verdict(r, &old, mutant) != Verdict::Alive || !(is_fresh || careless) {
            return;
        }
        match replica.set.judge_trade(old.sid, old.jti, None, self.now) {
            TradeVerdict::Allowed => {}
            TradeVerdict::Stolen => return self.end_session(r, old.sid, old.life),
            TradeVerdict::SessionEnded => return,
        }
        let jti = self.new_token_id();
        if let Some(token) = self.sign(r, jti, old.sid, old.stamp, mutant) {
            let (sid, lives) = (old.sid, (old.life, token.life));
            self.make(
                r,
                TokenRecord::TokenTraded(Box::new(Trade {
                    jti: old.jti,
                    sid,
                    idempotency_hash: None,
                    old: lives.0,
                    new: lives.1,
                })),
            );
            self.hand_out(r, token, mutant);
        }
    }

    fn append_place(&mut self) {
        self.changes += 1;
        self.records_ever += 1;
        let seq = self.log.last().map_or(1, |place| place.seq + 1);
        self.log.push(Place { seq, hash: self.records_ever });
    }

    /// Another user: the stamps of the first one stay as they are.
    fn create_user(&mut self) {
        self.changes += 1;
        self.ids_given.push(self.next_id);
        self.next_id += 1;
    }

    /// The log goes back; one record says so before any other, and every stamp is its place.
    fn put_back_users(&mut self, mutant: Option<Mutant>) {
        let Some(copy) = self.log_copy.clone() else { return };
        self.log = copy;
        self.append_place();
        self.changes -= 1;
        let highest = self.ids_given.iter().max().copied().unwrap_or_default();
        self.next_id = match mutant {
            Some(Mutant::IdsGivenAgain) => self.next_id_copy,
            _ => self.next_id_copy.max(highest) + 1_000_000,
        };
    }

    fn find_nobody(&mut self, r: usize) {
        let others = self.replicas.iter().enumerate().filter(|(other, _)| *other != r);
        let is_anybody_there = others.clone().any(|(_, other)| other.is_connected);
        let replica = &mut self.replicas[r];
        if is_anybody_there || replica.level == Level::QueueLost {
            return;
        }
        replica.trust.found_nobody();
        replica.level = Level::Exchanged;
    }

    fn wait(&mut self, seconds: i64, mutant: Option<Mutant>) {
        self.waits += 1;
        self.now = BootTime(self.now.0 + seconds * 1000);
        for replica in &mut self.replicas {
            replica.forget(self.now, mutant);
        }
    }

    fn started(&mut self, r: usize, mutant: Option<Mutant>) {
        if mutant == Some(Mutant::ReadyWithoutAsking) {
            self.replicas[r].level = Level::Exchanged;
            self.replicas[r].trust = KeyTrust::of_a_kept_set();
        }
    }

    /// What only this replica knew is lost: two faults at once, of which nothing is promised.
    fn lose_disk(&mut self, r: usize) {
        let mut others = self.replicas.clone();
        others.remove(r);
        self.ends.retain(|sid, end| {
            if end.taken_by == Some(r) {
                end.taken_by = None;
            }
            let is_known = others.iter().any(|replica| replica.knows_end(sid, &end.record));
            if !is_known {
                self.uncertain.insert(*sid);
            }
            is_known
        });
        // The same holds for tokens whose key nobody else has heard of.
        let unheard =
            |token: &&Token| !others.iter().any(|other| other.has_heard_of(&token.life.kid));
        self.uncertain.extend(self.tokens.iter().filter(unheard).map(|token| token.sid));
    }

    fn put_back_tokens(&mut self, r: usize, mutant: Option<Mutant>) {
        self.lose_disk(r);
        let own = self.replicas[r].put_back(self.now);
        for kid in own {
            self.kill(r, kid);
        }
        self.started(r, mutant);
        self.note_what_nobody_knows();
    }

    fn wipe(&mut self, r: usize, mutant: Option<Mutant>) {
        self.lose_disk(r);
        self.replicas[r].wipe();
        self.started(r, mutant);
        self.note_what_nobody_knows();
    }

    /// If no replica's set is whole, nobody can vouch for the keys that were there before.
    fn note_what_nobody_knows(&mut self) {
        if !self.replicas.iter().any(|replica| replica.trust.is_whole()) {
            self.uncertain.extend(self.tokens.iter().map(|token| token.sid));
        }
    }
}
