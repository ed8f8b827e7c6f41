//! **Owns** the dead letters that the bus has not accepted yet.
//!
//! **Promises** that each letter is counted, and is sent to the dead-letter queue, for people to
//! inspect, as soon as the bus can be reached. Nothing else waits for that. A flood of letters
//! produces one log line for each batch that is sent.
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
use contract::topology::{
    DEAD_LETTER_REASON, DEAD_LETTER_ROUTING_KEY, DEAD_LETTERS_MAX, DEAD_LETTERS_QUEUE,
};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use super::{Bus, BusError, Destination, Message, Outgoing, QueueLifetime, QueueSpec};
use crate::actors::{Health, supervise};

/// How many letters may wait for the bus.
const WAITING_MAX: usize = 1_000;
/// How many letters are sent at once.
const BATCH_MAX: usize = 100;

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
        let mut sending = Sending { bus, inbox, batch: vec![], dropped: Arc::clone(&dropped) };
        thread.spawn_fn(move || {
            actix::spawn(async move {
                let run = async || sending.run().await;
                supervise(&health, "sending dead letters", pending(), run).await;
            });
        });
        Self { letters, taken, dropped }
    }

    /// Keeps a copy of a message that came with this routing key.
    pub fn send(&self, mut message: Message, routing_key: String, reason: String) {
        self.taken.inc();
        message.headers.insert(DEAD_LETTER_REASON.to_owned(), reason.clone());
        message.headers.insert(DEAD_LETTER_ROUTING_KEY.to_owned(), routing_key);
        // Persistent: RabbitMQ keeps it across a restart.
        message.is_persistent = true;
        if self.letters.try_send(Letter { message, reason }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends letters, one batch after the other.
struct Sending {
    bus: Arc<dyn Bus>,
    /// In order of arrival.
    inbox: mpsc::Receiver<Letter>,
    /// The batch in flight: a failure does not lose it.
    batch: Vec<Letter>,
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
            self.send_batch().await?;
            let (count, reason) = (self.batch.len(), &first.reason);
            tracing::warn!(count, reason, "messages went to the dead letters");
            self.batch.clear();
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                tracing::warn!(dropped, "dropped dead letters: too many were waiting for the bus");
            }
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
