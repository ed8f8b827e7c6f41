//! **Owns** the dead letters that the bus has not accepted yet.
//!
//! **Promises** that each letter is counted, and is sent to the dead-letter queue, for people to
//! inspect, as soon as the bus can be reached. Nothing else waits for that. A letter keeps the first
//! 16 KiB of its message: it must fit into memory and into a frame. A flood of letters produces one log
//! line a minute.
//!
//! **When full** a letter is dropped: it has been counted, and the log of user_service repairs the
//! lost content. A log line says how many letters were dropped.
//!
//! **When it dies** the letters in progress are sent again. If the service stops while the bus is
//! unreachable, they are lost.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::ArbiterHandle;
use bytes::Bytes;
use contract::topology::{
    DEAD_LETTER_CUT, DEAD_LETTER_REASON, DEAD_LETTER_ROUTING_KEY, DEAD_LETTERS_MAX,
    DEAD_LETTERS_QUEUE,
};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use super::{Bus, BusError, Destination, Message, Outgoing, QueueLifetime, QueueSpec};
use crate::actors::{Health, supervise};
use crate::telemetry::Sparingly;

/// How many letters may wait for the bus.
const WAITING_MAX: usize = 1_000;
/// How many letters are sent at once.
const BATCH_MAX: usize = 100;
/// The most bytes that a letter keeps of its body, and of its headers.
const KEPT_MAX: usize = 16 * 1024;
/// The most bytes of a reason.
const REASON_MAX: usize = 1024;

/// The handle of the dead-letter queue. Clones share it.
#[derive(Clone)]
pub struct DeadLetters {
    letters: mpsc::Sender<Letter>,
    taken: Counter,
    /// How many letters were dropped since the last batch was sent.
    dropped: Arc<AtomicU64>,
}

/// A message that nobody could decode or apply.
struct Letter {
    message: Message,
    reason: String,
}

impl DeadLetters {
    /// Starts sending the letters on that thread; `taken` counts them.
    pub fn launch(
        thread: &ArbiterHandle,
        bus: Arc<dyn Bus>,
        health: &Health,
        taken: Counter,
    ) -> Self {
        let (letters, inbox) = mpsc::channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let health = health.clone();
        let mut sending = Sending {
            bus,
            inbox,
            batch: vec![],
            untold: 0,
            telling: Sparingly::default(),
            dropped: Arc::clone(&dropped),
        };
        thread.spawn_fn(move || {
            actix::spawn(async move {
                let run = async || sending.run().await;
                supervise(&health, "sending dead letters", pending(), run).await;
            });
        });
        Self { letters, taken, dropped }
    }

    /// Keeps a copy of a message that came with this routing key.
    pub fn send(&self, mut message: Message, routing_key: String, mut reason: String) {
        self.taken.inc();
        shorten(&mut message);
        reason.truncate(reason.floor_char_boundary(REASON_MAX));
        message.headers.insert(DEAD_LETTER_REASON.to_owned(), reason.clone());
        message.headers.insert(DEAD_LETTER_ROUTING_KEY.to_owned(), routing_key);
        // Persistent: RabbitMQ keeps it across a restart.
        message.is_persistent = true;
        if self.letters.try_send(Letter { message, reason }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Keeps the beginning of what is too large. Headers are kept in the order of their names; one tells
/// what was cut.
fn shorten(message: &mut Message) {
    let body = message.body.len();
    let headers = |message: &Message| -> usize {
        message.headers.iter().map(|(name, value)| name.len() + value.len()).sum()
    };
    let in_headers = headers(message) + message.id.len() + message.kind.len();
    if body <= KEPT_MAX && in_headers <= KEPT_MAX {
        return;
    }
    message.body = Bytes::copy_from_slice(&message.body[..body.min(KEPT_MAX)]);
    let mut left = KEPT_MAX;
    let mut keep = |text: &mut String| {
        text.truncate(text.floor_char_boundary(left));
        left -= text.len();
    };
    keep(&mut message.id);
    keep(&mut message.kind);
    message.headers = std::mem::take(&mut message.headers)
        .into_iter()
        .map_while(|(mut name, mut value)| {
            let length = name.len();
            keep(&mut name);
            keep(&mut value);
            (name.len() == length && length > 0).then_some((name, value))
        })
        .collect();
    let cut = format!("the message had {body} bytes, and {in_headers} in its headers");
    message.headers.insert(DEAD_LETTER_CUT.to_owned(), cut);
}

/// Sends letters, one batch after the other.
struct Sending {
    bus: Arc<dyn Bus>,
    /// In order of arrival.
    inbox: mpsc::Receiver<Letter>,
    /// The batch in flight: a failure does not lose it.
    batch: Vec<Letter>,
    /// How many were sent since the last line of the log.
    untold: usize,
    telling: Sparingly,
    dropped: Arc<AtomicU64>,
}

impl Sending {
    /// Returns without an error when nobody can send letters any more.
    async fn run(&mut self) -> Result<(), BusError> {
        loop {
            if self.batch.is_empty() {
                self.inbox.recv_many(&mut self.batch, BATCH_MAX).await;
            }
            let Some(first) = self.batch.first() else { return Ok(()) };
            let reason = first.reason.clone();
            self.send_batch().await?;
            self.untold += self.batch.len();
            self.batch.clear();
            self.tell(&reason);
        }
    }

    fn tell(&mut self, reason: &str) {
        if !self.telling.may_tell() {
            return;
        }
        let count = std::mem::take(&mut self.untold);
        tracing::warn!(count, reason, "messages went to the dead letters");
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "dropped dead letters: too many were waiting for the bus");
        }
    }

    /// Declares the queue each time: the broker may have lost its data, and letters are rare.
    async fn send_batch(&self) -> Result<(), BusError> {
        let lifetime = QueueLifetime::Archive { capacity: DEAD_LETTERS_MAX };
        let name = DEAD_LETTERS_QUEUE.to_owned();
        self.bus.declare(QueueSpec { name, lifetime, bindings: vec![], prefetch: 1 }).await?;
        let to = Destination::Queue(DEAD_LETTERS_QUEUE.to_owned());
        let letters = self.batch.iter().map(|letter| letter.message.clone());
        self.bus
            .publish(letters.map(|message| Outgoing { to: to.clone(), message }).collect())
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_letter_fits_into_a_frame_whatever_the_message_was(
            headers in btree_map("\\PC{0,300}", "\\PC{0,20000}", 0..12),
            body in 0..40_000_usize,
            id in "\\PC{0,300}",
        ) {
            let body = Bytes::from(vec![b'x'; body]);
            let whole = Message { id, headers, body, ..Message::default() };
            let mut cut = whole.clone();
            shorten(&mut cut);
            let length: usize =
                cut.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(length <= KEPT_MAX + 200, "{length}");
            prop_assert!(cut.body.len() <= KEPT_MAX);
            let is_cut = cut.headers.contains_key(DEAD_LETTER_CUT);
            prop_assert_eq!(is_cut, cut != whole);
            for (name, value) in cut.headers.iter().filter(|(name, _)| *name != DEAD_LETTER_CUT) {
                prop_assert!(whole.headers[name].starts_with(value.as_str()));
            }
        }
    }
}
