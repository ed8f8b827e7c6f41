//! Which replicas answered after a session began, and what is still to be fetched from them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contract::ReplicaId;
use tokio::time::Instant;

/// How long replicas that nothing shows to be there have to tell of themselves.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// How long one that is there has.
const PRESENCE_TIME: Duration = Duration::from_secs(5);
/// How long an answer is waited for, since the question or since the last message of it. After that it
/// may be asked again, and the session goes on without.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of the others before they tell of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// There are none.
    Absent,
    /// Nothing shows that one is there, but it may come.
    Possible,
    /// One at least has its queue at the broker.
    Present,
}

/// What one session knows of the other replicas' sets.
#[derive(Debug)]
pub(super) struct RollCall {
    others: Others,
    /// When the queue was drained, and everybody asked.
    begun: Option<Instant>,
    /// Those that others have heard lately.
    named: BTreeSet<ReplicaId>,
    /// What was different by the last head of each. A difference that lasts is fetched: the records
    /// of one that does not were on their way.
    differed: BTreeMap<ReplicaId, BTreeSet<u8>>,
    /// The open question to each.
    open: BTreeMap<ReplicaId, Question>,
    questions: u64,
}

#[derive(Debug)]
struct Question {
    nonce: String,
    /// When it was asked, or when the last message of its answer was merged.
    moved_at: Instant,
    /// It is about everything in which that set differed.
    is_about_all: bool,
    /// The messages of the answer that have come.
    numbers: BTreeSet<u32>,
}

/// What is to be done after a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: an answer is awaited.
    Wait,
    /// This set has all that the other one had at its last head but one: where they differ now, they
    /// were equal then, and what has been made since comes by itself.
    Level,
    /// These parts are to be asked for.
    Ask {
        /// Names the question.
        nonce: String,
        /// The parts.
        parts: Vec<u8>,
    },
}

impl RollCall {
    pub(super) fn new(others: Others) -> Self {
        let (named, differed, open) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Self { others, begun: None, named, differed, open, questions: 0 }
    }

    pub(super) fn begin(&mut self) {
        self.begun = Some(Instant::now());
    }

    /// Another replica has heard these.
    pub(super) fn name(&mut self, heard: impl IntoIterator<Item = ReplicaId>) {
        self.named.extend(heard);
    }

    /// Whether everybody had the time to answer, and no answer is awaited. Whether heads still come does
    /// not count: a long answer holds them up.
    pub(super) fn is_over(&self) -> bool {
        let Some(begun) = self.begun else { return false };
        let time = match self.others {
            _ if self.is_somebody_silent() => PRESENCE_TIME,
            Others::Absent => Duration::ZERO,
            Others::Possible | Others::Present => ANSWER_TIME,
        };
        begun.elapsed() >= time && !self.open.values().any(Question::is_awaited)
    }

    /// Whether one that is there has not told of itself.
    fn is_somebody_silent(&self) -> bool {
        let nobody_told = self.others == Others::Present && self.is_nobody_there();
        nobody_told || self.named.iter().any(|id| !self.differed.contains_key(id))
    }

    /// Whether no other replica has told of itself.
    pub(super) fn is_nobody_there(&self) -> bool {
        self.differed.is_empty()
    }

    /// The head of a replica differs from this set in these parts.
    pub(super) fn compare(&mut self, from: ReplicaId, differing: Vec<u8>, session: &str) -> Step {
        let differing: BTreeSet<u8> = differing.into_iter().collect();
        let before = self.differed.insert(from, differing.clone());
        self.open.retain(|_, question| question.is_awaited());
        if self.open.contains_key(&from) {
            return Step::Wait;
        }
        let is_about_all = before.as_ref().is_none_or(|before| differing.is_subset(before));
        let lasting: Vec<u8> = match before {
            None => differing.into_iter().collect(),
            Some(before) => differing.intersection(&before).copied().collect(),
        };
        if lasting.is_empty() {
            return Step::Level;
        }
        self.questions += 1;
        let nonce = format!("{session}-{}", self.questions);
        let (moved_at, numbers) = (Instant::now(), BTreeSet::new());
        let question = Question { nonce: nonce.clone(), moved_at, is_about_all, numbers };
        self.open.insert(from, question);
        Step::Ask { nonce, parts: lasting }
    }

    /// Whether this answers the open question to that replica.
    pub(super) fn is_awaited(&self, from: &ReplicaId, nonce: &str) -> bool {
        self.open.get(from).is_some_and(|question| question.nonce == nonce)
    }

    /// A message of the answer was merged. Whether this set now has everything that the other one
    /// had.
    pub(super) fn merged(&mut self, from: ReplicaId, number: u32, of: u32) -> bool {
        let Some(question) = self.open.get_mut(&from) else { return false };
        question.moved_at = Instant::now();
        question.numbers.insert(number);
        if question.numbers.len() < usize::try_from(of).unwrap_or(usize::MAX) {
            return false;
        }
        let is_about_all = question.is_about_all;
        self.open.remove(&from);
        is_about_all
    }
}

impl Question {
    fn is_awaited(&self) -> bool {
        self.moved_at.elapsed() < PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const ONE: ReplicaId = ReplicaId([1; 16]);
    const TWO: ReplicaId = ReplicaId([2; 16]);

    fn asked(step: &Step) -> &[u8] {
        match step {
            Step::Ask { parts, .. } => parts,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_has_two_seconds_and_who_answers_is_waited_for() {
        let mut roll_call = RollCall::new(Others::Possible);
        advance(ANSWER_TIME).await;
        assert!(!roll_call.is_over(), "it has not begun");
        roll_call.begin();
        assert!(!roll_call.is_over());
        assert!(roll_call.is_nobody_there());
        let step = roll_call.compare(ONE, vec![3, 7], "s");
        assert_eq!(asked(&step), [3, 7]);
        advance(ANSWER_TIME).await;
        assert!(!roll_call.is_over());
        assert!(roll_call.is_awaited(&ONE, "s-1") && !roll_call.is_awaited(&ONE, "s-2"));
        assert!(!roll_call.merged(ONE, 1, 2) && !roll_call.merged(ONE, 1, 2));
        assert!(roll_call.merged(ONE, 2, 2));
        assert!(roll_call.is_over() && !roll_call.is_nobody_there());
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_is_nobody_is_waited_for() {
        let mut roll_call = RollCall::new(Others::Absent);
        assert!(!roll_call.is_over(), "what is in the queue comes first");
        roll_call.begin();
        assert!(roll_call.is_over() && roll_call.is_nobody_there());
        // One that has started at the same time.
        roll_call.compare(ONE, vec![3], "s");
        assert!(!roll_call.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_there_and_one_that_it_has_heard_are_waited_for() {
        let mut roll_call = RollCall::new(Others::Present);
        let last_moment = PRESENCE_TIME.checked_sub(Duration::from_millis(1)).unwrap();
        roll_call.begin();
        advance(last_moment).await;
        assert!(!roll_call.is_over(), "nobody has told");
        roll_call.name([TWO]);
        assert_eq!(roll_call.compare(ONE, vec![], "s"), Step::Level);
        assert!(!roll_call.is_over(), "one is silent");
        let mut complete = RollCall::new(Others::Present);
        complete.begin();
        complete.name([TWO]);
        for id in [ONE, TWO] {
            complete.compare(id, vec![], "s");
        }
        assert!(!complete.is_over(), "there may be more");
        advance(ANSWER_TIME).await;
        assert!(complete.is_over());
        assert!(roll_call.is_over(), "the silent one is waited for no longer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_is_waited_for_while_it_goes_on() {
        let mut roll_call = RollCall::new(Others::Possible);
        roll_call.begin();
        roll_call.compare(ONE, vec![3], "s");
        for number in 1..=9 {
            advance(PATIENCE.mul_f64(0.9)).await;
            assert!(!roll_call.is_over(), "{number}");
            assert_eq!(roll_call.compare(ONE, vec![3], "s"), Step::Wait, "it is not asked again");
            assert!(!roll_call.merged(ONE, number, 10));
        }
        advance(PATIENCE).await;
        assert!(roll_call.is_over(), "whoever was to answer is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_difference_is_fetched_if_it_lasts_and_asked_for_once() {
        let mut roll_call = RollCall::new(Others::Possible);
        assert_eq!(roll_call.compare(ONE, vec![], "s"), Step::Level);
        assert_eq!(roll_call.compare(ONE, vec![1], "s"), Step::Level);
        assert_eq!(roll_call.compare(ONE, vec![2], "s"), Step::Level);
        assert_eq!(asked(&roll_call.compare(ONE, vec![2, 3], "s")), [2]);
        assert_eq!(roll_call.compare(ONE, vec![2, 3], "s"), Step::Wait);
        assert!(!roll_call.merged(ONE, 1, 1), "there was another difference");
        assert_eq!(asked(&roll_call.compare(ONE, vec![3], "s")), [3]);
        advance(PATIENCE).await;
        assert_eq!(asked(&roll_call.compare(ONE, vec![3], "s")), [3]);
        assert!(roll_call.merged(ONE, 1, 1));
    }
}
