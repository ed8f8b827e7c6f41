//! The follower's side of the protocol.
//!
//! Safety depends on the cursor alone. A record is applied only if it is the next one in the log of
//! the incarnation that vouched for the cursor. An answer is applied only if the follower is still
//! at the position that it asked from. If the bus loses, duplicates or reorders messages, this can
//! therefore cost time, but never order.

use std::collections::VecDeque;

use contract::{Credit, Cursor, Head, Incarnation, SnapshotPart, SnapshotUser, SyncRequest};

use super::ask_reason::AskReason;
use super::received::{NextChange, ReceivedContinue, ReceivedRecord};

/// The most records that wait for the answer that closes the gap before them. Further records are
/// dropped: the next answer or head brings them again.
const HELD_MAX: usize = 10_000;
/// How many earlier incarnations are remembered, so that their late records trigger no question.
const SUPERSEDED_MAX: usize = 16;
/// How many parts of a snapshot may be on their way at once: some 1.5 MB.
const CREDIT: u32 = 16;

/// The inputs of the follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The subscription was opened (again): messages in flight may be lost.
    Connected,
    /// An event arrived.
    Record(Incarnation, ReceivedRecord),
    /// The end of the log at some moment.
    Head(Head),
    /// An answer.
    Continue(ReceivedContinue),
    /// A part of an answer.
    SnapshotPart(SnapshotPart),
    /// Some seconds have passed since the last `Waited`.
    Waited,
    /// Nobody has asked for a while. Only an answer proves that the cursor is at the log's end: heads
    /// and records may be old ones that somebody sends again.
    Due,
    /// The projection cannot continue from its data, for this reason: only a snapshot helps.
    SnapshotNeeded(AskReason),
}

/// The actions to carry out, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the question.
    Ask(SyncRequest, AskReason),
    /// Write the changes and the cursor in one transaction. There may be no changes.
    Apply(Vec<NextChange>, Cursor),
    /// Load the users into the staging table; the first part empties it first.
    Stage {
        /// The part's number, from 1.
        part: u32,
        /// The number of parts.
        parts: u32,
        /// The part's users.
        users: Vec<SnapshotUser>,
    },
    /// Replace the projection by the staged users and set the cursor, in one transaction.
    SwapIn(Cursor),
}

/// A follower of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Follower {
    /// What has been applied. Equal to the stored cursor once all effects are carried out.
    cursor: Cursor,
    /// The one question whose answer is awaited.
    question: Option<Question>,
    /// Records after a gap, in order of arrival.
    held: VecDeque<(Incarnation, ReceivedRecord)>,
    /// Incarnations known not to be the current one.
    superseded: VecDeque<Incarnation>,
    /// The cursor's `seq` when a head was ahead of it. If the cursor is still there at the next such
    /// head, no record is on its way.
    behind_at: Option<i64>,
    /// Makes the nonces of this follower differ from those of the previous one.
    session: String,
    /// The number of questions that this follower has asked.
    asked: u64,
    /// The queue that answers go to.
    reply_to: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    nonce: String,
    /// The cursor when it was asked.
    at: Cursor,
    /// The incarnation that triggered it.
    about: Option<Incarnation>,
    /// Only a snapshot is an acceptable answer, because the data here is wrong.
    wants_snapshot: bool,
    /// The snapshot that is being staged, and its next part.
    staging: Option<(Cursor, u32)>,
    /// Whether something has arrived since the last `Waited`.
    has_progressed: bool,
}

impl Follower {
    /// A follower at the stored `cursor`, or at the default one if nothing is stored.
    ///
    /// `session` must be new for every follower (random); `reply_to` is the queue for answers.
    pub fn new(cursor: Cursor, session: String, reply_to: String) -> Self {
        Self {
            cursor,
            question: None,
            held: VecDeque::new(),
            superseded: VecDeque::new(),
            behind_at: None,
            session,
            asked: 0,
            reply_to,
        }
    }

    /// The position up to which everything has been applied.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The nonce of the question whose answer is awaited, if there is one.
    pub fn awaited_nonce(&self) -> Option<&str> {
        self.question.as_ref().map(|question| question.nonce.as_str())
    }

    /// Questions from now on are answered to this queue.
    pub fn reply_to(&mut self, queue: String) {
        self.reply_to = queue;
    }

    /// Processes one input and returns the actions to carry out.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Connected => self.ask(AskReason::Connected, None, &mut effects),
            Input::Record(incarnation, record) => self.take(incarnation, record, &mut effects),
            Input::Head(head) => self.on_head(&head, &mut effects),
            Input::Continue(answer) => self.on_continue(answer, &mut effects),
            Input::SnapshotPart(part) => self.on_snapshot_part(part, &mut effects),
            Input::Waited => self.on_waited(&mut effects),
            Input::Due => self.ask_once(AskReason::Due, None, &mut effects),
            Input::SnapshotNeeded(reason) => self.ask(reason, None, &mut effects),
        }
        effects
    }

    fn take(
        &mut self,
        incarnation: Incarnation,
        record: ReceivedRecord,
        effects: &mut Vec<Effect>,
    ) {
        if incarnation != self.cursor.incarnation {
            if !self.superseded.contains(&incarnation) {
                self.hold(incarnation, record);
                self.ask_once(AskReason::Incarnation, Some(incarnation), effects);
            }
        } else if record.position.seq <= self.cursor.position.seq {
            // A duplicate.
        } else if self.question.as_ref().is_some_and(|question| question.wants_snapshot) {
            // If it were applied, it would invalidate the snapshot: under load, no snapshot would
            // ever succeed.
            self.hold(incarnation, record);
        } else if record.follows(self.cursor.position) {
            self.apply_next(record, effects);
        } else if record.position.seq == self.cursor.position.seq + 1 {
            self.ask_once(AskReason::RecordHash, None, effects);
        } else {
            self.hold(incarnation, record);
            self.ask_once(AskReason::Gap, None, effects);
        }
    }

    /// Applies the next record. If it is unreadable, asks for a snapshot instead.
    fn apply_next(&mut self, record: ReceivedRecord, effects: &mut Vec<Effect>) {
        let ReceivedRecord { position, prev_hash, data, sealed_hash, traceparent } = record;
        let Some(data) = data else {
            self.ask(AskReason::Unappliable, None, effects);
            return;
        };
        self.cursor.position = position;
        self.behind_at = None;
        let next = NextChange { position, prev_hash, data, sealed_hash, traceparent };
        if let Some(Effect::Apply(changes, last)) = effects.last_mut() {
            // Joins the previous transaction.
            changes.push(next);
            *last = self.cursor;
        } else {
            effects.push(Effect::Apply(vec![next], self.cursor));
        }
    }

    fn on_head(&mut self, head: &Head, effects: &mut Vec<Effect>) {
        if head.incarnation != self.cursor.incarnation {
            if !self.superseded.contains(&head.incarnation) {
                self.ask_once(AskReason::Incarnation, Some(head.incarnation), effects);
            }
        } else if head.position.seq == self.cursor.position.seq
            && head.position.hash != self.cursor.position.hash
        {
            self.ask_once(AskReason::RecordHash, None, effects);
        } else if head.position.seq <= self.cursor.position.seq {
            // It may be an old one: what an earlier head has shown stays true.
        } else if self.behind_at == Some(self.cursor.position.seq) {
            self.ask_once(AskReason::LostTail, None, effects);
        } else {
            self.behind_at = Some(self.cursor.position.seq);
        }
    }

    fn on_continue(&mut self, answer: ReceivedContinue, effects: &mut Vec<Effect>) {
        let Some(question) = self.question.take_if(|q| q.nonce == answer.nonce) else { return };
        if answer.at == self.cursor {
            let has_records = !answer.records.is_empty();
            let is_intact = self.apply_all(answer.incarnation, answer.records, effects);
            self.adopt(answer.incarnation, question.about);
            if !has_records {
                self.drop_beyond_gaps(effects);
            } else if is_intact && answer.head_seq > self.cursor.position.seq {
                self.ask(AskReason::More, None, effects);
            }
        }
        self.release_held(effects);
    }

    /// Applies the records in order up to the first that does not fit; returns whether all were
    /// applied.
    fn apply_all(
        &mut self,
        incarnation: Incarnation,
        records: Vec<ReceivedRecord>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let is_adopted = self.cursor.incarnation != incarnation;
        self.cursor.incarnation = incarnation;
        if is_adopted || !records.is_empty() {
            // Even without records: a new incarnation vouches for the position.
            effects.push(Effect::Apply(Vec::with_capacity(records.len()), self.cursor));
        }
        for record in records {
            if !record.follows(self.cursor.position) {
                return false;
            }
            self.apply_next(record, effects);
            if self.question.is_some() {
                // The record could not be read.
                return false;
            }
        }
        true
    }

    fn on_snapshot_part(&mut self, part: SnapshotPart, effects: &mut Vec<Effect>) {
        let Some(question) = &mut self.question else { return };
        if question.nonce != part.nonce {
            return;
        }
        if question.at != self.cursor {
            // Records have moved the cursor meanwhile. If more are missing, they are asked for from
            // here.
            self.question = None;
            self.release_held(effects);
            return;
        }
        let expected = question.staging.unwrap_or((part.as_of, 1));
        if expected != (part.as_of, part.part) {
            return;
        }
        question.staging = Some((part.as_of, part.part + 1));
        question.has_progressed = true;
        let (number, parts, about) = (part.part, part.parts, question.about);
        effects.push(Effect::Stage { part: number, parts, users: part.users });
        if number == parts {
            self.question = None;
            self.cursor = part.as_of;
            effects.push(Effect::SwapIn(self.cursor));
            self.adopt(part.as_of.incarnation, about);
            self.release_held(effects);
        } else if part.sent_through.is_some_and(|through| number >= through) {
            self.ask_for_parts(number, effects);
        }
    }

    /// The same question again, for the parts after this one.
    fn ask_for_parts(&self, after: u32, effects: &mut Vec<Effect>) {
        let request = self.question.as_ref().map(|question| self.request(question, after));
        effects.extend(request.map(|request| Effect::Ask(request, AskReason::More)));
    }

    fn request(&self, question: &Question, after: u32) -> SyncRequest {
        SyncRequest {
            nonce: question.nonce.clone(),
            reply_to: self.reply_to.clone(),
            cursor: question.at,
            snapshot: question.wants_snapshot,
            credit: Some(Credit { after, parts: CREDIT }),
            // The projection knows it, and tells it when the question is sent.
            highest_id: None,
        }
    }

    fn on_waited(&mut self, effects: &mut Vec<Effect>) {
        let Some(question) = &mut self.question else { return };
        if !std::mem::take(&mut question.has_progressed) {
            let about = question.about;
            self.ask(AskReason::Unanswered, about, effects);
        }
    }

    /// The answer came from `incarnation`. If the question was about another one, that one is not
    /// the current incarnation.
    fn adopt(&mut self, incarnation: Incarnation, about: Option<Incarnation>) {
        self.behind_at = None;
        self.superseded.retain(|known| *known != incarnation);
        if let Some(about) = about
            && about != incarnation
            && !self.superseded.contains(&about)
        {
            self.superseded.push_back(about);
            if self.superseded.len() > SUPERSEDED_MAX {
                self.superseded.pop_front();
            }
        }
    }

    fn hold(&mut self, incarnation: Incarnation, record: ReceivedRecord) {
        if self.held.len() < HELD_MAX {
            self.held.push_back((incarnation, record));
        }
    }

    /// The answer contained no records, so asking again about a record beyond a gap would never
    /// end. If the record is authentic, the next head announces it.
    fn drop_beyond_gaps(&mut self, effects: &mut Vec<Effect>) {
        for (incarnation, record) in std::mem::take(&mut self.held) {
            if incarnation == self.cursor.incarnation && record.follows(self.cursor.position) {
                self.take(incarnation, record, effects);
            }
        }
    }

    fn release_held(&mut self, effects: &mut Vec<Effect>) {
        for (incarnation, record) in std::mem::take(&mut self.held) {
            self.take(incarnation, record, effects);
        }
    }

    fn ask_once(
        &mut self,
        reason: AskReason,
        about: Option<Incarnation>,
        effects: &mut Vec<Effect>,
    ) {
        if self.question.is_none() {
            self.ask(reason, about, effects);
        }
    }

    fn ask(&mut self, reason: AskReason, about: Option<Incarnation>, effects: &mut Vec<Effect>) {
        self.asked += 1;
        let nonce = format!("{}-{}", self.session, self.asked);
        // A repeated question still wants what the first one wanted.
        let wants_snapshot = reason.needs_snapshot()
            || self.question.as_ref().is_some_and(|question| question.wants_snapshot);
        let question = Question {
            nonce,
            at: self.cursor,
            about,
            wants_snapshot,
            staging: None,
            has_progressed: true,
        };
        effects.push(Effect::Ask(self.request(&question, 0), reason));
        self.question = Some(question);
    }
}
