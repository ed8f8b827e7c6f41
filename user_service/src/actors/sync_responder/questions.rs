//! The queue of unanswered questions: it keeps only the last question of each follower.
//!
//! A follower accepts an answer to its last question only. If a slow answer made it ask again, and
//! each of its questions got an equally slow answer, no answer would ever arrive in time.

use std::collections::VecDeque;

use contract::{SyncAnswer, SyncRequest};
use shared::bus::{BusError, Outgoing};
use tokio::sync::{mpsc, oneshot};

use super::super::consuming::{BusAccess, NotNow};

/// How many questions over HTTP may wait for the responder.
const DIRECT_WAITING_MAX: usize = 16;

/// A question, and where its answers go.
pub(super) struct Asked {
    pub(super) request: SyncRequest,
    pub(super) way: Way,
    /// Gives it back to the queue that it came from. Dropped without use, it is done with.
    pub(super) giving_back: Option<oneshot::Sender<NotNow>>,
}

/// The way of the answers.
pub(super) enum Way {
    /// To the queue that the question names.
    Bus,
    /// To the HTTP request that carried the question. It ends when this is dropped.
    Direct(mpsc::Sender<Outgoing>),
}

impl Asked {
    /// Whether it is back in its queue, with others that were taken after one that was given back.
    fn is_back(&self) -> bool {
        self.giving_back.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Sends an answer, or a part of it.
    pub(super) async fn give(
        &mut self,
        BusAccess { bus, codec, .. }: &BusAccess,
        answer: &SyncAnswer,
    ) -> Result<(), BusError> {
        let answer = codec.encode_answer(&self.request.reply_to, answer);
        match &self.way {
            Way::Bus => bus.publish(vec![answer]).await,
            // The client has gone: it will ask again.
            Way::Direct(client) => client.send(answer).await.map_err(|_| BusError::Closed),
        }
    }
}

/// Takes the questions that come over HTTP.
#[derive(Clone)]
pub struct DirectQuestions(mpsc::Sender<Asked>);

/// Too many questions wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyQuestions;

impl DirectQuestions {
    pub(super) fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (questions, inbox) = mpsc::channel(DIRECT_WAITING_MAX);
        (Self(questions), inbox)
    }

    /// Hands a question over. The messages of the answer arrive one by one, and the stream ends
    /// after the last one; without any if a later question of the same follower took its place.
    ///
    /// # Errors
    /// The question is refused, because too many wait.
    pub fn ask(&self, request: SyncRequest) -> Result<mpsc::Receiver<Outgoing>, TooManyQuestions> {
        let (client, answers) = mpsc::channel(1);
        let asked = Asked { request, way: Way::Direct(client), giving_back: None };
        self.0.try_send(asked).map(|()| answers).map_err(|_| TooManyQuestions)
    }
}

/// The followers to answer, in order.
pub(super) struct Questions {
    inbox: mpsc::Receiver<Asked>,
    /// The last question of each follower.
    waiting: VecDeque<Asked>,
}

impl Questions {
    pub(super) fn new(inbox: mpsc::Receiver<Asked>) -> Self {
        Self { inbox, waiting: VecDeque::new() }
    }

    /// The next question, or `None` when no more can come. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Asked> {
        loop {
            self.take_what_is_there();
            if self.waiting.is_empty() {
                let asked = self.inbox.recv().await?;
                self.put(asked);
                self.take_what_is_there();
            }
            if let Some(asked) = self.waiting.pop_front().filter(|asked| !asked.is_back()) {
                return Some(asked);
            }
        }
    }

    fn take_what_is_there(&mut self) {
        while let Ok(asked) = self.inbox.try_recv() {
            self.put(asked);
        }
    }

    fn put(&mut self, newer: Asked) {
        self.waiting.retain(|older| older.request.reply_to != newer.request.reply_to);
        self.waiting.push_back(newer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Cursor;

    fn question(reply_to: &str, nonce: &str) -> Asked {
        let (nonce, reply_to) = (nonce.to_owned(), reply_to.to_owned());
        let cursor = Cursor::default();
        let (snapshot, credit, highest_id) = (false, None, None);
        let request = SyncRequest { nonce, reply_to, cursor, snapshot, credit, highest_id };
        Asked { request, way: Way::Bus, giving_back: None }
    }

    #[tokio::test]
    async fn of_each_follower_only_the_last_question_is_answered() {
        let (asked, inbox) = mpsc::channel(10);
        let mut questions = Questions::new(inbox);
        for (reply_to, nonce) in [("a", "1"), ("b", "2"), ("a", "3")] {
            assert!(asked.send(question(reply_to, nonce)).await.is_ok());
        }
        drop(asked);
        for expected in [Some("2"), Some("3"), None] {
            let next = questions.next().await;
            assert_eq!(next.as_ref().map(|asked| asked.request.nonce.as_str()), expected);
        }
    }
    #[tokio::test]
    async fn a_question_that_is_back_in_its_queue_is_not_answered_here() {
        let (asked, inbox) = mpsc::channel(10);
        let mut questions = Questions::new(inbox);
        let (giving_back, receiver) = oneshot::channel();
        let back = Asked { giving_back: Some(giving_back), ..question("a", "1") };
        drop(receiver);
        for one in [back, question("b", "2")] {
            assert!(asked.send(one).await.is_ok());
        }
        let next = questions.next().await;
        assert_eq!(next.as_ref().map(|asked| asked.request.nonce.as_str()), Some("2"));
    }
}
