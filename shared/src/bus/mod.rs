//! The one seam between the services: RabbitMQ, or the in-process bus.
//!
//! The bus provides speed and no durability: the log of user_service is the source of truth, and
//! the protocol in [`crate::log_sync`] repairs every loss. An implementation may therefore lose
//! messages, but it must not reorder one publisher's messages on their way to one queue. There are
//! two exceptions: redelivery of unacknowledged messages, and batches of different kinds (one has
//! persistent messages, or messages to a topic, and the other has not). `tests/bus_conformance.rs`
//! states it precisely; each implementation passes it.

mod amqp;
pub mod cloud_event;
mod dead_letters;
pub mod direct;
mod in_process;
mod metrics;
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
pub use metrics::BusMetrics;

/// Publishes and subscribes.
pub trait Bus: Send + Sync + 'static {
    /// Sends the batch in order and waits until the bus has taken responsibility for each message.
    /// A message that matches no queue counts as taken, too. After any error the caller must send
    /// the whole batch again: receivers tolerate duplicates.
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>>;

    /// Sends one message, and returns whether at least one queue took it: the `mandatory` flag of AMQP
    /// 0-9-1.
    fn publish_mandatory(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<bool, BusError>>;

    /// Declares the queue and its bindings, and starts to consume. The stream ends when the
    /// connection does; then the caller subscribes again, and unacknowledged messages are delivered
    /// again.
    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>>;

    /// Declares the queue and its bindings without consuming: messages that are sent there from now
    /// on are kept.
    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), BusError>> {
        // Implementations that can declare without subscribing override this.
        let subscribing = self.subscribe(queue);
        Box::pin(async move { subscribing.await.map(drop) })
    }

    /// Makes a topic exchange, so that services of others can bind their queues to it before the first message
    /// goes there. A bus that knows no exchanges has nothing to do.
    fn declare_exchange(&self, exchange: &'static str) -> BoxFuture<'_, Result<(), BusError>> {
        let _ = exchange;
        Box::pin(async { Ok(()) })
    }

    /// The status of the bus, according to the last attempts.
    fn status(&self) -> BusStatus;

    /// Whether other processes can be on this bus.
    fn reaches_other_processes(&self) -> bool {
        true
    }
}

/// The status of the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusStatus {
    /// The last attempt worked.
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
    /// The destination.
    pub to: Destination,
    /// The message.
    pub message: Message,
}

/// The destination of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To all queues with a matching binding, by the rules of an AMQP topic exchange.
    Topic {
        /// The exchange.
        exchange: String,
        /// Words between dots.
        routing_key: String,
    },
    /// To one queue, by its name. If that queue does not exist, the message is lost.
    Queue(String),
}

/// A message on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Message {
    /// The message id.
    pub id: String,
    /// The kind of message, such as a CloudEvents `type`.
    pub kind: String,
    /// Short text headers.
    pub headers: BTreeMap<String, String>,
    /// JSON.
    pub body: Bytes,
    /// Whether a broker writes it to disk, in durable queues.
    pub is_persistent: bool,
}

/// A queue to consume from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name.
    pub name: String,
    /// Its lifetime.
    pub lifetime: QueueLifetime,
    /// The bindings that feed it.
    pub bindings: Vec<Binding>,
    /// How many deliveries may be unacknowledged at a time, at least 1.
    pub prefetch: u16,
}

/// The lifetime of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueLifetime {
    /// Survives the consumer and the broker's restart. One subscription is served at a time; the
    /// next one waits until the current one has ended, which keeps the order.
    Durable {
        /// After this time without a consumer, the queue is deleted.
        expires: Duration,
    },
    /// Belongs to one subscription and is deleted with it. While it exists, another subscription is
    /// refused. It may exist for a moment after the subscription was dropped, so try again.
    Transient,
    /// Survives the consumer. Its messages may be lost when the broker stops, and some seconds
    /// after the last consumer. Consumers share the work.
    Shared,
    /// Survives consumers and the broker's restart without a time limit: for people to inspect.
    /// Consumers share the work.
    Archive {
        /// How many messages it keeps; beyond that the oldest are dropped.
        capacity: u32,
    },
}

/// Routes messages of a topic exchange to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The exchange; it is declared if it does not exist.
    pub exchange: String,
    /// A routing key, with `*` for one word and `#` for any number.
    pub routing_key: String,
}

/// A received message.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// The key it was sent with; the queue's name if it was sent to the queue.
    pub routing_key: String,
    /// Whether it was delivered before without an acknowledgement.
    pub is_redelivered: bool,
    /// Numbers the deliveries of this subscription, from 1.
    pub tag: u64,
}

/// The stream of deliveries; dropping it returns unacknowledged messages to the queue.
pub type Deliveries = Pin<Box<dyn Stream<Item = Delivery> + Send>>;

/// The deliveries of a queue. Dropping it returns unacknowledged messages to the queue.
pub struct Subscription {
    deliveries: Deliveries,
    acknowledger: Box<dyn Acknowledge>,
}

impl Subscription {
    /// Joins the two halves; called by implementations of [`Bus`].
    pub fn new(
        deliveries: impl Stream<Item = Delivery> + Send + 'static,
        acknowledger: impl Acknowledge,
    ) -> Self {
        Self { deliveries: Box::pin(deliveries), acknowledger: Box::new(acknowledger) }
    }

    /// Splits it into the deliveries and the acknowledger.
    pub fn split(self) -> (Deliveries, Box<dyn Acknowledge>) {
        (self.deliveries, self.acknowledger)
    }

    /// Acknowledges the delivery with this tag and all before it.
    ///
    /// # Errors
    /// The connection is gone: the deliveries will be sent again.
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

/// Sends a consumer's acknowledgements to its queue.
pub trait Acknowledge: Send + Sync + 'static {
    /// Acknowledges the delivery with this tag and all before it.
    fn acknowledge_through(&self, tag: u64) -> BoxFuture<'_, Result<(), BusError>>;
}

/// Why the bus failed. Every one of these failures may disappear by itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BusError {
    /// No connection, or it broke.
    #[error("broker unreachable")]
    Unreachable(#[source] Breakage),
    /// The broker does not know the user, or the password is wrong.
    #[error("broker refused the login")]
    LoginRefused,
    /// The virtual host does not exist, is full, or is forbidden to this user.
    #[error("broker refused the virtual host")]
    VirtualHostRefused(#[source] Breakage),
    /// The broker refused a message, or the declaration or use of a queue.
    #[error("broker refused: {0}")]
    Refused(Refusal),
    /// The broker did not answer in time.
    #[error("broker did not answer within {0:?}")]
    TimedOut(Duration),
    /// The broker accepts no messages because its disk or memory is nearly full.
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

/// How a connection failed, in the words of the code that noticed it.
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
    /// This user lacks the permission.
    #[error("broker refused the permission")]
    NotPermitted,
    /// A queue or exchange of this name exists with other arguments.
    #[error("a queue or exchange exists with other arguments")]
    OtherArguments,
    /// The queue belongs to another connection, or to a node that is down.
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
