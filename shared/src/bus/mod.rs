//! The one seam between the services: RabbitMQ, or the inside of one process.
//!
//! The bus makes things fast and keeps nothing safe: the log of user_service is the truth, and the
//! protocol in [`crate::log_sync`] mends whatever is lost here. So every implementation may lose what
//! it holds, and none may reorder one publisher's messages on their way to one queue, except when
//! it delivers again what was not acknowledged, or between batches of which one has
//! persistent messages, or messages to a topic, and the other has not. `tests/bus_conformance.rs` says it precisely; each
//! implementation passes it.

mod amqp;
pub mod cloud_event;
mod dead_letters;
mod in_process;
mod topic;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;

pub use amqp::{AmqpBus, AmqpConfig, InvalidAmqpUrl};
pub use dead_letters::DeadLetters;
pub use in_process::InProcessBus;

/// Publishes and subscribes.
pub trait Bus: Send + Sync + 'static {
    /// Sends the batch in its order and waits until the bus has taken responsibility for each
    /// message. A message that no queue wants is taken too. On any error the whole batch is to be
    /// sent again: receivers meet duplicates.
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>>;

    /// Declares the queue and its bindings, and starts to consume. The stream ends when the
    /// connection does; the caller subscribes again, and what it had not acknowledged comes again.
    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>>;

    /// Declares the queue and its bindings and takes nothing from it: what is sent there from now
    /// on is kept.
    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), BusError>> {
        // Implementations that can do it without subscribing do so.
        let subscribing = self.subscribe(queue);
        Box::pin(async move { subscribing.await.map(drop) })
    }

    /// How the bus is, as far as the last attempts tell.
    fn status(&self) -> BusStatus;
}

/// How the bus is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusStatus {
    /// What was tried last worked.
    Connected,
    /// It cannot be used.
    Down {
        /// Why, in a few words for operators.
        cause: String,
    },
}

impl BusStatus {
    /// Whether it can be used.
    pub fn is_connected(&self) -> bool {
        *self == Self::Connected
    }
}

/// What to send, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it goes.
    pub to: Destination,
    /// What goes there.
    pub message: Message,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To all queues whose binding fits, by the rules of an AMQP topic exchange.
    Topic {
        /// The exchange.
        exchange: String,
        /// Words between dots.
        routing_key: String,
    },
    /// To one queue, by its name. If there is no such queue, the message is gone.
    Queue(String),
}

/// A message as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Message {
    /// The message id.
    pub id: String,
    /// What it is, such as a CloudEvents `type`.
    pub kind: String,
    /// Short text headers.
    pub headers: BTreeMap<String, String>,
    /// JSON.
    pub body: Bytes,
    /// Written to disk by a broker, for queues that are durable.
    pub is_persistent: bool,
}

/// A queue to consume from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name.
    pub name: String,
    /// How long it lives.
    pub lifetime: QueueLifetime,
    /// What flows into it.
    pub bindings: Vec<Binding>,
    /// How many deliveries may be unacknowledged at once, at least 1.
    pub prefetch: u16,
}

/// How long a queue lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueLifetime {
    /// Survives the consumer and the broker's restart, until it was unused for this long. One
    /// subscription is served at a time; the next waits until it is gone, and so keeps the order.
    Durable {
        /// Unused for so long, it goes away.
        expires: Duration,
    },
    /// Belongs to one subscription and goes with it. While it lives, another one is refused; also
    /// for a moment after it was dropped, so ask again.
    Transient,
    /// Survives the consumer; what it holds may go with the broker, and after some seconds without
    /// a consumer. Consumers share the work.
    Shared,
    /// Survives consumers and the broker's restart without end: for people to look into. Consumers
    /// share the work.
    Archive {
        /// How many messages it holds; then the oldest go.
        capacity: u32,
    },
}

/// Lets messages of a topic exchange flow into a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The exchange; declared if it is not there.
    pub exchange: String,
    /// A routing key, with `*` for one word and `#` for any number.
    pub routing_key: String,
}

/// A message that arrived.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// The key it was sent with; the queue's name if it was sent to the queue.
    pub routing_key: String,
    /// It came before, and was not acknowledged.
    pub is_redelivered: bool,
    /// Counts the deliveries of this subscription, from 1.
    pub tag: u64,
}

/// The stream of what arrives; dropping it returns what was not acknowledged to the queue.
pub type Deliveries = Pin<Box<dyn Stream<Item = Delivery> + Send>>;

/// What arrives at a queue. Dropping it returns what was not acknowledged to the queue.
pub struct Subscription {
    deliveries: Deliveries,
    acknowledger: Box<dyn Acknowledge>,
}

impl Subscription {
    /// Joins the two halves; for implementations of [`Bus`].
    pub fn new(
        deliveries: impl Stream<Item = Delivery> + Send + 'static,
        acknowledger: impl Acknowledge,
    ) -> Self {
        Self { deliveries: Box::pin(deliveries), acknowledger: Box::new(acknowledger) }
    }

    /// The deliveries and the means to acknowledge them, apart.
    pub fn split(self) -> (Deliveries, Box<dyn Acknowledge>) {
        (self.deliveries, self.acknowledger)
    }

    /// Acknowledges the delivery with this tag and all before it.
    ///
    /// # Errors
    /// The connection is gone: the deliveries will come again.
    pub fn acknowledge_through(&self, tag: u64) -> BoxFuture<'_, Result<(), BusError>> {
        self.acknowledger.acknowledge_through(tag)
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.deliveries.as_mut().poll_next(context)
    }
}

/// The way back from a consumer to its queue.
pub trait Acknowledge: Send + Sync + 'static {
    /// Acknowledges the delivery with this tag and all before it.
    fn acknowledge_through(&self, tag: u64) -> BoxFuture<'_, Result<(), BusError>>;
}

/// Why the bus did not do it. Every one of these may go away by itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BusError {
    /// No connection, or it broke.
    #[error("broker unreachable")]
    Unreachable(#[source] Breakage),
    /// The broker knows no such user, or the password is another.
    #[error("broker refused the login")]
    LoginRefused,
    /// There is no such virtual host, this user may not use it, or it is full.
    #[error("broker refused the virtual host")]
    VirtualHostRefused(#[source] Breakage),
    /// The broker refused a message, or to make or hand out a queue.
    #[error("broker refused: {0}")]
    Refused(Refusal),
    /// The broker did not answer in time.
    #[error("broker did not answer within {0:?}")]
    TimedOut(Duration),
    /// The broker takes no messages while its disk or memory is short.
    #[error("broker accepts no messages: its disk or memory is short")]
    Blocked,
    /// The process is stopping.
    #[error("the bus is closed")]
    Closed,
}

impl BusError {
    /// The kind of failure in a few words, the same for all failures of one kind.
    pub fn cause(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.kind.to_string(),
            other => other.to_string(),
        }
    }
}

/// How a connection failed, in the words of the layer that noticed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Breakage(Arc<str>);

impl From<&str> for Breakage {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Breakage {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// What a broker refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{said}")]
pub struct Refusal {
    /// The kind of refusal.
    pub kind: RefusalKind,
    /// What the broker said.
    pub said: String,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusalKind {
    /// This user may not do it.
    #[error("broker refused the permission")]
    NotPermitted,
    /// A queue or exchange of this name has other arguments.
    #[error("a queue or exchange exists with other arguments")]
    OtherArguments,
    /// A queue belongs to another connection, or to a node that is down.
    #[error("a queue is not available")]
    NotAvailable,
    /// Anything else.
    #[error("broker refused")]
    Other,
}

impl From<String> for Refusal {
    fn from(said: String) -> Self {
        Self { kind: RefusalKind::Other, said }
    }
}
