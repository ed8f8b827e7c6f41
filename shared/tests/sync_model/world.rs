//! The state of the world, and what becomes of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use contract::{
    Cursor, EventKind, Head, Incarnation, Position, RecordHash, SnapshotPart, SnapshotUser,
    SyncRequest, UserChange, UserId, UserState,
};
use shared::log_sync::{
    AskReason, Decision, Effect, Follower, Input, ReceivedContinue, ReceivedRecord, decide,
    record_hash,
};

use crate::action::Action;
use crate::mutant::Mutant;

/// What is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wire {
    Event(Incarnation, ReceivedRecord),
    Head(Head),
    Ask(SyncRequest),
    Continue(ReceivedContinue),
    Snapshot(SnapshotPart),
}

/// All parts of a snapshot, for the question of this nonce.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Spool {
    nonce: String,
    as_of: Cursor,
    parts: Vec<Vec<SnapshotUser>>,
}

/// Everything, everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    log: Vec<ReceivedRecord>,
    pub(crate) log_copy: Option<Vec<ReceivedRecord>>,
    /// The log of each incarnation, the last being the present one.
    pub(crate) histories: Vec<Vec<ReceivedRecord>>,
    pub(crate) follower: Follower,
    /// The projection: the names of what was applied, in order, and its stored cursor.
    projection: (Vec<String>, Cursor),
    pub(crate) projection_copy: Option<(Vec<String>, Cursor)>,
    /// In the same database: a crash leaves it there.
    staged: Vec<String>,
    /// A set: what is delivered may stay, so that one copy stands for any number.
    pub(crate) wire: Vec<Wire>,
    /// The snapshot that the source has spooled, which goes out part by part as it is asked for.
    spool: Option<Spool>,
    sessions: usize,
    pub(crate) writes: usize,
    pub(crate) questions: usize,
    pub(crate) restores: usize,
    pub(crate) follower_faults: usize,
    pub(crate) wipes: usize,
    pub(crate) distrusts: usize,
    pub(crate) has_replaced: bool,
    pub(crate) has_replayed: bool,
    pub(crate) went_back: bool,
}

fn incarnation(n: usize) -> Incarnation {
    Incarnation([u8::try_from(n).unwrap(); 16])
}

fn follower(cursor: Cursor, session: usize) -> Follower {
    Follower::new(cursor, session.to_string(), "q".into())
}

/// Each record creates a user, so that a projection shows what it was made of.
fn state_of(username: String) -> UserState {
    let (username_key, version, password_version) = (username.clone(), 1, 1);
    let (stamp, is_admin) = (None, false);
    UserState { username, username_key, version, password_version, stamp, is_admin }
}

pub(crate) fn name_of(record: &ReceivedRecord) -> &String {
    let change = record.data.as_ref().unwrap().user().unwrap();
    &change.user.as_ref().unwrap().username
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            log: vec![],
            log_copy: None,
            histories: vec![vec![]],
            follower: follower(Cursor::default(), 0),
            projection: (vec![], Cursor::default()),
            projection_copy: None,
            staged: vec![],
            wire: vec![],
            spool: None,
            sessions: 0,
            writes: 0,
            questions: 0,
            restores: 0,
            follower_faults: 0,
            wipes: 0,
            distrusts: 0,
            has_replaced: false,
            has_replayed: false,
            went_back: false,
        }
    }

    /// A follower that is level with a log of one record, and a copy of each side from then.
    pub(crate) fn settled() -> Self {
        let mut world = Self::new();
        world.write(false);
        assert!(world.catch_up(None));
        world.questions = 0;
        world.has_replayed = false;
        world.act(&Action::BackUpSource, None);
        world.act(&Action::BackUpFollower, None);
        world
    }

    /// The source was restored from that copy, so that the follower is ahead of it.
    pub(crate) fn diverged() -> Self {
        let mut world = Self::settled();
        world.act(&Action::Write { publish: true }, None);
        world.act(&Action::Deliver(0), None);
        world.act(&Action::RestoreSource, None);
        world
    }

    pub(crate) fn log_len(&self) -> usize {
        self.log.len()
    }

    pub(crate) fn act(&mut self, action: &Action, mutant: Option<Mutant>) {
        match action {
            Action::Write { publish } => self.write(*publish),
            Action::Beacon => self.send(Wire::Head(self.head())),
            Action::RestartSource => self.restart_source(mutant),
            Action::BackUpSource => self.log_copy = Some(self.log.clone()),
            Action::RestoreSource => {
                self.log = self.log_copy.clone().unwrap_or_default();
                self.restores += 1;
                self.restart_source(mutant);
            }
            Action::CrashFollower => self.crash_follower(),
            Action::BackUpFollower => self.projection_copy = Some(self.projection.clone()),
            Action::RestoreFollower => {
                self.projection = self.projection_copy.clone().unwrap_or_default();
                self.crash_follower();
            }
            Action::CrashFollowerAt(n) => {
                self.deliver(self.wire[*n].clone(), mutant, 1);
                self.crash_follower();
            }
            Action::WipeBroker => {
                self.wipes += 1;
                self.wire.clear();
                self.subscribe_anew();
            }
            Action::Deliver(n) => {
                let message = self.wire.remove(*n);
                self.deliver(message, mutant, usize::MAX);
            }
            Action::DeliverAndKeep(n) => {
                self.deliver(self.wire[*n].clone(), mutant, usize::MAX);
            }
            Action::Lose(n) => drop(self.wire.remove(*n)),
            Action::Waited => self.step(Input::Waited, usize::MAX),
            Action::Quiet => self.step(Input::Connected, usize::MAX),
            Action::Silence => self.step(Input::Due, usize::MAX),
            Action::Distrust => {
                self.distrusts += 1;
                self.step(Input::SnapshotNeeded(AskReason::Difference), usize::MAX);
            }
        }
    }

    fn incarnation(&self) -> Incarnation {
        incarnation(self.histories.len())
    }

    fn end(&self) -> Position {
        self.log.last().map(|sent| sent.position).unwrap_or_default()
    }

    fn head_cursor(&self) -> Cursor {
        Cursor { incarnation: self.incarnation(), position: self.end() }
    }

    fn head(&self) -> Head {
        Head { incarnation: self.incarnation(), position: self.end(), checksum: None, log: None }
    }

    fn write(&mut self, publish: bool) {
        let Position { seq, hash: prev_hash } = self.end();
        let name = format!("change {}", self.writes);
        self.writes += 1;
        let hash = record_hash(prev_hash, seq + 1, &EventKind::UPDATED, 0, &name);
        let position = Position { seq: seq + 1, hash };
        let user = Some(state_of(name));
        let change = UserChange { id: UserId(seq + 1), user, written_by: None };
        let data = Some(change.into());
        let sent =
            ReceivedRecord { position, prev_hash, data, sealed_hash: None, traceparent: None };
        self.log.push(sent.clone());
        self.remember_history();
        if publish {
            self.send(Wire::Event(self.incarnation(), sent));
        }
    }

    /// In one order, so that states that differ in nothing else are one.
    fn send(&mut self, message: Wire) {
        let key = |message: &Wire| {
            let mut hasher = DefaultHasher::new();
            message.hash(&mut hasher);
            hasher.finish()
        };
        if !self.wire.contains(&message) {
            self.wire.push(message);
            self.wire.sort_by_key(key);
        }
    }

    fn remember_history(&mut self) {
        if let Some(history) = self.histories.last_mut() {
            history.clone_from(&self.log);
        }
    }

    fn restart_source(&mut self, mutant: Option<Mutant>) {
        self.spool = None;
        if mutant != Some(Mutant::IncarnationNotRenewed) {
            self.histories.push(vec![]);
        }
        self.remember_history();
    }

    fn crash_follower(&mut self) {
        self.follower_faults += 1;
        self.subscribe_anew();
    }

    /// As after a crash: a new subscription begins at the stored cursor.
    fn subscribe_anew(&mut self) {
        self.sessions += 1;
        self.follower = follower(self.projection.1, self.sessions);
        self.step(Input::Connected, usize::MAX);
    }

    /// Hands the message over. Of what the follower makes of it, so many effects are carried out.
    fn deliver(&mut self, message: Wire, mutant: Option<Mutant>, effects: usize) {
        let input = match message {
            Wire::Ask(request) => return self.answer(request, mutant),
            Wire::Event(incarnation, record) => {
                let record = Mutant::forge_hash(mutant, record, self.follower.cursor());
                Input::Record(incarnation, record)
            }
            Wire::Head(head) => Input::Head(head),
            Wire::Continue(answer) => {
                Input::Continue(Mutant::forge_continue(mutant, answer, &self.follower))
            }
            Wire::Snapshot(mut part) => {
                Mutant::forge_nonce(mutant, &mut part.nonce, &self.follower);
                Input::SnapshotPart(part)
            }
        };
        self.step(input, effects);
    }

    fn answer(&mut self, request: SyncRequest, mutant: Option<Mutant>) {
        let after = request.credit.map_or(0, |credit| credit.after);
        if after > 0 {
            return self.send_part(&request.nonce, after);
        }
        let at = usize::try_from(request.cursor.position.seq).unwrap();
        let hash_there = match at {
            0 => Some(RecordHash::default()),
            n => self.log.get(n - 1).map(|sent| sent.position.hash),
        };
        let hash_there = Mutant::forge_hash_there(mutant, hash_there, request.cursor);
        match decide(&request, self.end(), hash_there, 10) {
            Decision::Continue => self.send(Wire::Continue(ReceivedContinue {
                nonce: request.nonce,
                at: request.cursor,
                incarnation: self.incarnation(),
                // One record at a time, so that `More` is exercised.
                records: self.log[at..].iter().take(1).cloned().collect(),
                head_seq: self.end().seq,
            })),
            Decision::Snapshot(_) => self.begin_snapshot(&request.nonce),
        }
    }

    /// A user for each record, so that a projection shows what it was made of; in two parts if they
    /// are several, so that a follower may stop half way.
    fn begin_snapshot(&mut self, nonce: &str) {
        let user = |sent: &ReceivedRecord| SnapshotUser {
            id: UserId(sent.position.seq),
            state: state_of(name_of(sent).to_owned()),
            sealed_hash: None,
        };
        let users: Vec<SnapshotUser> = self.log.iter().map(user).collect();
        let of_each = users.len().div_ceil(2).max(1);
        let parts: Vec<_> = users.chunks(of_each).map(<[_]>::to_vec).collect();
        let parts = if parts.is_empty() { vec![vec![]] } else { parts };
        self.spool = Some(Spool { nonce: nonce.to_owned(), as_of: self.head_cursor(), parts });
        self.send_part(nonce, 0);
    }

    /// Each part is asked for. A spool that is gone is not made again: the follower asks anew.
    fn send_part(&mut self, nonce: &str, after: u32) {
        let Some(spool) = self.spool.as_ref().filter(|spool| spool.nonce == nonce) else { return };
        let Some(users) = spool.parts.get(usize::try_from(after).unwrap()) else { return };
        let part = SnapshotPart {
            nonce: nonce.to_owned(),
            as_of: spool.as_of,
            part: after + 1,
            parts: u32::try_from(spool.parts.len()).unwrap(),
            sent_through: Some(after + 1),
            users: users.clone(),
            checksum: None,
        };
        self.send(Wire::Snapshot(part));
    }

    fn step(&mut self, input: Input, effects: usize) {
        for effect in self.follower.step(input).into_iter().take(effects) {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let before = self.projection.1;
        match effect {
            Effect::Ask(request, _) => {
                self.questions += 1;
                self.send(Wire::Ask(request));
            }
            Effect::Apply(changes, cursor) => {
                self.has_replayed |= !changes.is_empty();
                let left = changes.iter().filter_map(|next| next.data.user()?.user.clone());
                self.projection.0.extend(left.map(|state| state.username));
                self.projection.1 = cursor;
            }
            Effect::Stage { part, users, .. } => {
                if part == 1 {
                    self.staged.clear();
                }
                self.staged.extend(users.into_iter().map(|user| user.state.username));
            }
            Effect::SwapIn(cursor) => {
                self.has_replaced = true;
                self.projection = (std::mem::take(&mut self.staged), cursor);
            }
        }
        let after = self.projection.1;
        self.went_back |=
            after.incarnation == before.incarnation && after.position.seq < before.position.seq;
    }

    pub(crate) fn is_prefix(&self) -> bool {
        let (applied, cursor) = &self.projection;
        let vouched = (1..=self.histories.len()).find(|n| incarnation(*n) == cursor.incarnation);
        let history = vouched.map_or(&[][..], |n| &self.histories[n - 1]);
        usize::try_from(cursor.position.seq) == Ok(applied.len())
            && applied.len() <= history.len()
            && applied.iter().zip(history).all(|(name, sent)| name == name_of(sent))
    }

    pub(crate) fn is_agreed(&self) -> bool {
        self.projection.1 == self.head_cursor()
            && self.projection.0.iter().eq(self.log.iter().map(name_of))
    }

    /// From here on nothing is lost any more: does the follower get there? What was on its way may
    /// have been lost and be of no help, or come now and be in the way.
    pub(crate) fn can_catch_up(&self, mutant: Option<Mutant>) -> bool {
        let mut emptied = self.clone();
        emptied.wire.clear();
        emptied.catch_up(mutant) && (self.wire.is_empty() || self.clone().catch_up(mutant))
    }

    /// A bus that keeps order does not bring a part before those before it.
    fn next_in_order(&self) -> Option<usize> {
        let place = |n: &usize| match &self.wire[*n] {
            Wire::Snapshot(part) => part.part,
            _ => 0,
        };
        (0..self.wire.len()).min_by_key(place)
    }

    fn catch_up(&mut self, mutant: Option<Mutant>) -> bool {
        for _ in 0..20 {
            self.act(&Action::Beacon, mutant);
            self.act(&Action::Waited, mutant);
            // Bounded: two that talk without end do not catch up either.
            for _ in 0..50 {
                if let Some(next) = self.next_in_order() {
                    self.act(&Action::Deliver(next), mutant);
                }
            }
            if self.is_agreed() {
                return true;
            }
        }
        false
    }
}
