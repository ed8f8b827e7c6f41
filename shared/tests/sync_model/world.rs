//! The state of the world, and what can happen in it.

use std::hash::{DefaultHasher, Hash, Hasher};

use shared::contract::{
    Chain, Continue, Cursor, EventKind, Head, Incarnation, LogRecord, SnapshotPart, SyncRequest,
    UserData, UserId,
};
use shared::sync::{Decision, Effect, Follower, Input, decide, extend};

/// A mutation of the protocol, made where messages pass so that the code under test stays whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A restart keeps the incarnation.
    IncarnationNotRenewed,
    /// Answers to any question are taken for answers to the present one.
    NoNonce,
    /// A `Continue` is taken wherever the follower stands.
    ContinueNotBound,
    /// Neither side compares chains.
    ChainNotChecked,
}

/// How far the model looks.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) writes: usize,
    pub(crate) restarts: usize,
    pub(crate) restores: usize,
    pub(crate) follower_faults: usize,
    pub(crate) in_flight: usize,
    pub(crate) questions: usize,
}

impl Bounds {
    /// For the protocol as it is.
    pub(crate) const WIDE: Self = Self {
        writes: 3,
        restarts: 2,
        restores: 1,
        follower_faults: 1,
        in_flight: 3,
        questions: 3,
    };
    /// For mutants: enough for most to fall.
    pub(crate) const NARROW: Self = Self {
        writes: 3,
        restarts: 1,
        restores: 1,
        follower_faults: 0,
        in_flight: 2,
        questions: 2,
    };
}

/// What is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wire {
    Event(Incarnation, LogRecord),
    Head(Head),
    Ask(SyncRequest),
    Continue(Continue),
    Snapshot(SnapshotPart),
}

/// What may happen next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A change is committed; its event goes out, or the source dies before it does.
    Write {
        publish: bool,
    },
    Beacon,
    RestartSource,
    BackUpSource,
    RestoreSource,
    CrashFollower,
    BackUpFollower,
    RestoreFollower,
    /// Any message may come next: the bus reorders.
    Deliver(usize),
    /// And come again later.
    DeliverAndKeep(usize),
    Lose(usize),
    Waited,
}

/// Everything, everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    log: Vec<LogRecord>,
    log_copy: Option<Vec<LogRecord>>,
    /// The log of each incarnation, the last being the present one.
    histories: Vec<Vec<LogRecord>>,
    follower: Follower,
    /// The projection: the `data` of what was applied, in order, and its stored cursor.
    projection: (Vec<String>, Cursor),
    projection_copy: Option<(Vec<String>, Cursor)>,
    staged: Vec<String>,
    /// A set: what is delivered may stay, so that one copy stands for any number.
    wire: Vec<Wire>,
    sessions: usize,
    writes: usize,
    questions: usize,
    pub(crate) restores: usize,
    follower_faults: usize,
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

/// Makes a record fit wherever its number does.
fn forge_chain(record: LogRecord, at: Cursor, mutant: Option<Mutant>) -> LogRecord {
    if mutant != Some(Mutant::ChainNotChecked) {
        return record;
    }
    let chain = extend(at.chain, record.seq, record.kind, 0, &record.data);
    LogRecord { previous: at.chain, chain, ..record }
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
            sessions: 0,
            writes: 0,
            questions: 0,
            restores: 0,
            follower_faults: 0,
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

    pub(crate) fn possible(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        let has_room = self.wire.len() < bounds.in_flight;
        if self.writes < bounds.writes {
            actions.push(Action::Write { publish: false });
            if has_room {
                actions.push(Action::Write { publish: true });
            }
        }
        if has_room {
            actions.push(Action::Beacon);
        }
        if has_room && self.follower.awaited_nonce().is_some() {
            actions.push(Action::Waited);
        }
        if self.histories.len() <= bounds.restarts {
            actions.push(Action::RestartSource);
            if self.log_copy.is_some() && self.restores < bounds.restores {
                actions.push(Action::RestoreSource);
            }
        }
        if self.log_copy.is_none() && bounds.restores > 0 {
            actions.push(Action::BackUpSource);
        }
        if self.follower_faults < bounds.follower_faults {
            actions.push(Action::CrashFollower);
            let restore = if self.projection_copy.is_some() {
                Action::RestoreFollower
            } else {
                Action::BackUpFollower
            };
            actions.push(restore);
        }
        let may_ask = self.questions < bounds.questions;
        for n in 0..self.wire.len() {
            // What is never delivered is lost; losing it matters only where it makes room.
            if !has_room {
                actions.push(Action::Lose(n));
            }
            if may_ask {
                actions.extend([Action::Deliver(n), Action::DeliverAndKeep(n)]);
            }
        }
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
            Action::CrashFollower => self.restart_follower(),
            Action::BackUpFollower => self.projection_copy = Some(self.projection.clone()),
            Action::RestoreFollower => {
                self.projection = self.projection_copy.clone().unwrap_or_default();
                self.restart_follower();
            }
            Action::Deliver(n) => {
                let message = self.wire.remove(*n);
                self.deliver(message, mutant);
            }
            Action::DeliverAndKeep(n) => self.deliver(self.wire[*n].clone(), mutant),
            Action::Lose(n) => drop(self.wire.remove(*n)),
            Action::Waited => self.step(Input::Waited),
        }
    }

    fn incarnation(&self) -> Incarnation {
        incarnation(self.histories.len())
    }

    fn head_cursor(&self) -> Cursor {
        let chain = self.log.last().map(|record| record.chain).unwrap_or_default();
        let seq = i64::try_from(self.log.len()).unwrap();
        Cursor { incarnation: self.incarnation(), seq, chain }
    }

    fn head(&self) -> Head {
        let Cursor { incarnation, seq, chain } = self.head_cursor();
        Head { incarnation, seq, chain, digest: None }
    }

    fn write(&mut self, publish: bool) {
        let Cursor { seq, chain: previous, .. } = self.head_cursor();
        let data = format!("change {}", self.writes);
        self.writes += 1;
        let chain = extend(previous, seq + 1, EventKind::Updated, 0, &data);
        let record = LogRecord {
            seq: seq + 1,
            previous,
            chain,
            kind: EventKind::Updated,
            recorded_at_ms: 0,
            traceparent: None,
            data,
        };
        self.log.push(record.clone());
        self.remember_history();
        if publish {
            self.send(Wire::Event(self.incarnation(), record));
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
        if mutant != Some(Mutant::IncarnationNotRenewed) {
            self.histories.push(vec![]);
        }
        self.remember_history();
    }

    fn restart_follower(&mut self) {
        self.follower_faults += 1;
        self.sessions += 1;
        self.staged.clear();
        self.follower = follower(self.projection.1, self.sessions);
        self.step(Input::Connected);
    }

    fn deliver(&mut self, message: Wire, mutant: Option<Mutant>) {
        match message {
            Wire::Ask(request) => self.answer(request, mutant),
            Wire::Event(incarnation, record) => {
                let record = forge_chain(record, self.follower.cursor(), mutant);
                self.step(Input::Record(incarnation, record));
            }
            Wire::Head(head) => self.step(Input::Head(head)),
            Wire::Continue(answer) => {
                let answer = self.mutate_continue(answer, mutant);
                self.step(Input::Continue(answer));
            }
            Wire::Snapshot(mut part) => {
                self.forge_nonce(&mut part.nonce, mutant);
                self.step(Input::SnapshotPart(part));
            }
        }
    }

    fn mutate_continue(&self, mut answer: Continue, mutant: Option<Mutant>) -> Continue {
        self.forge_nonce(&mut answer.nonce, mutant);
        if mutant == Some(Mutant::ContinueNotBound) {
            answer.at = self.follower.cursor();
        }
        let mut cursor = answer.at;
        for record in &mut answer.records {
            *record = forge_chain(record.clone(), cursor, mutant);
            cursor = Cursor { seq: record.seq, chain: record.chain, ..cursor };
        }
        answer
    }

    fn forge_nonce(&self, nonce: &mut String, mutant: Option<Mutant>) {
        if let (Some(Mutant::NoNonce), Some(awaited)) = (mutant, self.follower.awaited_nonce()) {
            awaited.clone_into(nonce);
        }
    }

    fn answer(&mut self, request: SyncRequest, mutant: Option<Mutant>) {
        let at = usize::try_from(request.cursor.seq).unwrap();
        let mut chain_there = match at {
            0 => Some(Chain::default()),
            n => self.log.get(n - 1).map(|record| record.chain),
        };
        if mutant == Some(Mutant::ChainNotChecked) && chain_there.is_some() {
            chain_there = Some(request.cursor.chain);
        }
        let answer = match decide(&request, &self.head_cursor(), chain_there, 10) {
            Decision::Continue => Wire::Continue(Continue {
                nonce: request.nonce,
                at: request.cursor,
                incarnation: self.incarnation(),
                // One record at a time, so that `More` is exercised.
                records: self.log[at..].iter().take(1).cloned().collect(),
                head_seq: self.head_cursor().seq,
            }),
            Decision::Snapshot(_) => Wire::Snapshot(self.snapshot(request.nonce)),
        };
        self.send(answer);
    }

    /// A user for each record, so that a projection shows what it was made of.
    fn snapshot(&self, nonce: String) -> SnapshotPart {
        let user = |record: &LogRecord| UserData {
            id: UserId(record.seq),
            username: record.data.clone(),
            version: 1,
            password_version: 1,
            password_hash: None,
        };
        let users = self.log.iter().map(user).collect();
        SnapshotPart { nonce, as_of: self.head_cursor(), part: 1, parts: 1, users, digest: None }
    }

    fn step(&mut self, input: Input) {
        for effect in self.follower.step(input) {
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
            Effect::Apply(records, cursor) => {
                self.has_replayed |= !records.is_empty();
                self.projection.0.extend(records.into_iter().map(|record| record.data));
                self.projection.1 = cursor;
            }
            Effect::Stage { users, .. } => {
                self.staged = users.into_iter().map(|user| user.username).collect();
            }
            Effect::SwapIn(cursor) => {
                self.has_replaced = true;
                self.projection = (std::mem::take(&mut self.staged), cursor);
            }
        }
        let after = self.projection.1;
        self.went_back |= after.incarnation == before.incarnation && after.seq < before.seq;
    }

    pub(crate) fn is_prefix(&self) -> bool {
        let (applied, cursor) = &self.projection;
        let vouched = (1..=self.histories.len()).find(|n| incarnation(*n) == cursor.incarnation);
        let history = vouched.map_or(&[][..], |n| &self.histories[n - 1]);
        usize::try_from(cursor.seq) == Ok(applied.len())
            && applied.len() <= history.len()
            && applied.iter().zip(history).all(|(data, record)| *data == record.data)
    }

    pub(crate) fn is_agreed(&self) -> bool {
        self.projection.1 == self.head_cursor()
            && self.projection.0.iter().eq(self.log.iter().map(|record| &record.data))
    }

    /// From here on nothing is lost any more: does the follower get there? What was on its way may
    /// have been lost, so it gets no help from that.
    pub(crate) fn can_catch_up(mut self, mutant: Option<Mutant>) -> bool {
        self.wire.clear();
        self.catch_up(mutant)
    }

    fn catch_up(&mut self, mutant: Option<Mutant>) -> bool {
        for _ in 0..20 {
            self.act(&Action::Beacon, mutant);
            self.act(&Action::Waited, mutant);
            // Bounded: two that talk without end do not catch up either.
            for _ in 0..50 {
                if !self.wire.is_empty() {
                    self.act(&Action::Deliver(0), mutant);
                }
            }
            if self.is_agreed() {
                return true;
            }
        }
        false
    }
}
