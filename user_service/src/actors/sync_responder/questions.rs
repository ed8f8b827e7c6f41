//! The queue of unanswered questions: it keeps only the last question of each follower.
//!
//! A follower accepts an answer to its last question only. If a slow answer made it ask again, and
//! each of its questions got an equally slow answer, no answer would ever arrive in time.

use std::collections::VecDeque;

use contract::SyncRequest;
use tokio::sync::mpsc;

/// The followers to answer, in order.
pub(super) struct Questions {
    inbox: mpsc::Receiver<SyncRequest>,
    /// The last question of each follower.
    waiting: VecDeque<SyncRequest>,
}

impl Questions {
    pub(super) fn new(inbox: mpsc::Receiver<SyncRequest>) -> Self {
        Self { inbox, waiting: VecDeque::new() }
    }

    /// The next question, or `None` when no more can come.
    pub(super) async fn next(&mut self) -> Option<SyncRequest> {
        self.take_what_is_there();
        if self.waiting.is_empty() {
            let request = self.inbox.recv().await?;
            self.put(request);
            self.take_what_is_there();
        }
        self.waiting.pop_front()
    }

    /// Whether the follower has asked again meanwhile.
    pub(super) fn is_superseded(&mut self, request: &SyncRequest) -> bool {
        self.take_what_is_there();
        self.waiting.iter().any(|newer| newer.reply_to == request.reply_to)
    }

    fn take_what_is_there(&mut self) {
        while let Ok(request) = self.inbox.try_recv() {
            self.put(request);
        }
    }

    fn put(&mut self, newer: SyncRequest) {
        self.waiting.retain(|older| older.reply_to != newer.reply_to);
        self.waiting.push_back(newer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Cursor;

    fn question(reply_to: &str, nonce: &str) -> SyncRequest {
        let (reply_to, nonce) = (reply_to.to_owned(), nonce.to_owned());
        SyncRequest { nonce, reply_to, cursor: Cursor::default(), snapshot: false }
    }

    #[tokio::test]
    async fn of_each_follower_only_the_last_question_is_answered() {
        let (asked, inbox) = mpsc::channel(10);
        let mut questions = Questions::new(inbox);
        for (reply_to, nonce) in [("a", "1"), ("b", "2"), ("a", "3")] {
            asked.send(question(reply_to, nonce)).await.unwrap();
        }
        let first = questions.next().await.unwrap();
        assert_eq!(first.nonce, "2");
        assert!(!questions.is_superseded(&first));
        asked.send(question("b", "4")).await.unwrap();
        assert!(questions.is_superseded(&first));
        drop(asked);
        assert_eq!(questions.next().await.unwrap().nonce, "3");
        assert_eq!(questions.next().await.unwrap().nonce, "4");
        assert_eq!(questions.next().await, None);
    }
}
