//! **Owns** the dead letters that the bus has not taken yet.
//!
//! **Promises** that each letter lies in the queue of dead letters, for people to look into, as
//! soon as the bus can be reached. Nothing else waits for that.
//!
//! **When full** a letter is dropped: it has been counted, and what it was about is mended from
//! user_service's log. The log tells of the first that is dropped, and how many it were.
//!
//! **When it dies**, or the service stops while the bus is away, its letters are gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::ready;
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use contract::topology::{
    DEAD_LETTER_REASON, DEAD_LETTER_ROUTING_KEY, DEAD_LETTERS_MAX, DEAD_LETTERS_QUEUE,
};
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::bus::{Bus, BusError, Destination, Message, Outgoing, QueueLifetime, QueueSpec};

/// How many letters may wait for the bus.
const WAITING_MAX: usize = 1_000;
/// How many letters are sent at once.
const BATCH_MAX: usize = 100;
/// How long a bus that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// "Keep a copy of this message, which is of no use."
pub struct SendToDeadLetters {
    /// The message as it came.
    pub message: Message,
    /// The key that it came with.
    pub routing_key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Command for SendToDeadLetters {
    type Reply = ();
}

impl SendToDeadLetters {
    /// The message with all its headers, and two more. RabbitMQ keeps it over its own restart.
    fn into_letter(self) -> Message {
        let Self { mut message, routing_key, reason } = self;
        message.headers.insert(DEAD_LETTER_REASON.to_owned(), reason);
        message.headers.insert(DEAD_LETTER_ROUTING_KEY.to_owned(), routing_key);
        message.is_persistent = true;
        message
    }
}

/// Sends letters, one batch after the other.
pub struct DeadLetters {
    bus: Arc<dyn Bus>,
    /// In the order of their arrival; those on their way are still among them.
    waiting: VecDeque<Message>,
    /// A batch is on its way, or waits for the bus.
    is_sending: bool,
    /// How many were dropped since none waited.
    dropped: u64,
}

impl DeadLetters {
    /// Starts the actor on this thread.
    pub fn launch(bus: Arc<dyn Bus>, health: &Health) -> Mailbox<Self> {
        let letters = Self { bus, waiting: VecDeque::new(), is_sending: false, dropped: 0 };
        Mailbox::start(health, WAITING_MAX, |_| letters)
    }

    fn send_next(&mut self, context: &mut Context<Self>) {
        let batch: Vec<Message> = self.waiting.iter().take(BATCH_MAX).cloned().collect();
        self.is_sending = !batch.is_empty();
        if !self.is_sending {
            let dropped = std::mem::take(&mut self.dropped);
            if dropped > 0 {
                tracing::warn!(dropped, "all dead letters that were kept are sent");
            }
            return;
        }
        let (bus, count) = (Arc::clone(&self.bus), batch.len());
        let sent = async move { send(&*bus, batch).await };
        let sending = sent.into_actor(self).then(move |outcome, letters, context| {
            match outcome {
                Ok(()) => {
                    letters.waiting.drain(..count);
                    letters.send_next(context);
                }
                Err(error) => {
                    tracing::debug!(%error, count, "dead letters were not sent; trying again");
                    context.run_later(PAUSE, Self::send_next);
                }
            }
            ready(())
        });
        context.spawn(sending);
    }
}

/// Declared each time: the broker may have been wiped, and letters are few.
async fn send(bus: &dyn Bus, letters: Vec<Message>) -> Result<(), BusError> {
    let lifetime = QueueLifetime::Archive { capacity: DEAD_LETTERS_MAX };
    let name = DEAD_LETTERS_QUEUE.to_owned();
    bus.declare(QueueSpec { name, lifetime, bindings: vec![], prefetch: 1 }).await?;
    let to = Destination::Queue(DEAD_LETTERS_QUEUE.to_owned());
    let letters = letters.into_iter().map(|message| Outgoing { to: to.clone(), message });
    bus.publish(letters.collect()).await
}

impl Actor for DeadLetters {
    type Context = Context<Self>;
}

impl Handler<Ask<SendToDeadLetters>> for DeadLetters {
    type Result = ();

    fn handle(&mut self, ask: Ask<SendToDeadLetters>, context: &mut Self::Context) {
        ask.answer(|letter| self.take(letter, context));
    }
}

impl DeadLetters {
    fn take(&mut self, letter: SendToDeadLetters, context: &mut Context<Self>) {
        if self.waiting.len() >= WAITING_MAX {
            if self.dropped == 0 {
                tracing::warn!("too many dead letters wait for the bus: some are dropped");
            }
            self.dropped += 1;
            return;
        }
        self.waiting.push_back(letter.into_letter());
        if !self.is_sending {
            self.send_next(context);
        }
    }
}
