//! Consumes from queues.

use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use contract::topology::DEAD_LETTERS_QUEUE;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::protocol::constants::REPLY_SUCCESS;
use lapin::protocol::{AMQPErrorKind, AMQPHardError};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use super::connection::{CLOSE_TIMEOUT, OpenConnection};
use super::connector::Connector;
use super::envelope::{open, short};
use super::health::{Health, name_of};
use super::retirement::Retirements;
use super::topology::{declare_dead_letters, declare_exchange, declare_queue, has_dead_letters};
use crate::bus::{Acknowledge, BusError, Delivery, QueueLifetime, QueueSpec, Subscription};

/// What is kept of a message that is too large: it will be a dead letter.
const SHORTENED: usize = 16 * 1024;

/// After an unreadable message, a queue is consumed one message at a time for this long.
const CAUTION: Duration = Duration::from_secs(15);

/// Owns the connection that consumes.
pub(super) struct Consumers {
    connector: Connector,
    /// An async lock, because it is held while connecting: callers share the connection that the
    /// first one opens.
    connection: Mutex<Option<Arc<OpenConnection>>>,
    /// Learns of streams that break.
    health: Arc<Health>,
    /// Queues that have delivered an unreadable message.
    cautions: Arc<Cautions>,
    /// Queues of earlier versions.
    retirements: Arc<Retirements>,
    /// Closes channels after their subscriptions.
    runtime: Handle,
}

impl Consumers {
    pub(super) fn new(connector: Connector, health: Arc<Health>) -> Self {
        Self {
            connector,
            connection: Mutex::new(None),
            health,
            cautions: Arc::default(),
            retirements: Arc::default(),
            runtime: Handle::current(),
        }
    }

    pub(super) async fn subscribe(&self, spec: &QueueSpec) -> Result<Subscription, BusError> {
        self.declare_dead_letters(spec).await?;
        let (connection, channel) = self.open_channel().await?;
        let prefetch = if self.cautions.holds_for(&spec.name) { 1 } else { spec.prefetch.max(1) };
        let consuming = self.connector.bounded(consume(&channel, spec, prefetch)).await;
        if matches!(consuming, Err(BusError::TimedOut(_))) {
            // The broker is silent: the next call opens a new connection.
            *self.connection.lock().await = None;
        }
        let consumer = consuming?;
        self.retirements.begin(&self.runtime, &connection, spec);
        let acknowledger =
            Acknowledger { channel: channel.clone(), acknowledged_through: AtomicU64::new(0) };
        let deliveries = Deliveries {
            queue: spec.clone(),
            consumer: Some((Receiver::start(&self.runtime, consumer, spec), channel, connection)),
            health: Arc::clone(&self.health),
            cautions: Arc::clone(&self.cautions),
            runtime: self.runtime.clone(),
        };
        Ok(Subscription::new(deliveries, acknowledger))
    }

    pub(super) async fn declare(&self, spec: &QueueSpec) -> Result<(), BusError> {
        self.declare_dead_letters(spec).await?;
        let (connection, channel) = self.open_channel().await?;
        // The channel closes when it is dropped.
        self.connector.bounded(declare_queue(&channel, spec)).await?;
        self.retirements.begin(&self.runtime, &connection, spec);
        Ok(())
    }

    /// On the connection that consumes: while the broker has an alarm, it reads nothing from those that publish.
    pub(super) async fn declare_exchange(&self, exchange: &str) -> Result<(), BusError> {
        let (_connection, channel) = self.open_channel().await?;
        self.connector.bounded(declare_exchange(&channel, exchange)).await
    }

    /// Before a queue that uses them. If the broker refuses, that is shown, and the queue works
    /// without: a refusal ends the channel, so there is one for it.
    async fn declare_dead_letters(&self, spec: &QueueSpec) -> Result<(), BusError> {
        if !has_dead_letters(spec.lifetime) {
            return Ok(());
        }
        let (_connection, channel) = self.open_channel().await?;
        match self.connector.bounded(declare_dead_letters(&channel)).await {
            outcome @ (Ok(()) | Err(BusError::Refused(_))) => {
                self.health.note(DEAD_LETTERS_QUEUE, &outcome);
                Ok(())
            }
            other => other,
        }
    }

    /// A separate channel for each subscription: an error in one does not end another.
    async fn open_channel(&self) -> Result<(Arc<OpenConnection>, Channel), BusError> {
        let mut slot = self.connection.lock().await;
        let connection = match slot.take() {
            Some(alive) if alive.status().connected() => alive,
            _ => Arc::new(self.connector.connect().await?),
        };
        let channel = self.connector.bounded(connection.create_channel()).await?;
        *slot = Some(Arc::clone(&connection));
        Ok((connection, channel))
    }
}

/// Queues that contain an unreadable message, or recently did. lapin closes the whole connection on
/// such a message, everything unacknowledged is delivered again, and at the delivery limit the
/// broker moves the message to the dead letters. Consumed one at a time, only the bad message
/// reaches that limit.
#[derive(Default)]
struct Cautions(watch::Sender<HashMap<String, Instant>>);

impl Cautions {
    fn add(&self, queue: &str) {
        self.0.send_modify(|queues| {
            queues.retain(|_, since| since.elapsed() < CAUTION);
            queues.insert(queue.to_owned(), Instant::now());
        });
    }

    fn holds_for(&self, queue: &str) -> bool {
        self.0.borrow().get(queue).is_some_and(|since| since.elapsed() < CAUTION)
    }
}

async fn consume(channel: &Channel, spec: &QueueSpec, prefetch: u16) -> Result<Consumer, BusError> {
    declare_queue(channel, spec).await?;
    // Per consumer: quorum queues support nothing else, and 4.x deprecates the global setting.
    channel.basic_qos(prefetch, BasicQosOptions { global: false }).await?;
    let options = BasicConsumeOptions {
        no_local: false, // RabbitMQ does not support it
        no_ack: false,   // unacknowledged messages must be delivered again
        // A transient queue has one owner. (A durable one has a single active consumer, by its
        // queue argument, so that the next consumer may already wait for its turn.)
        exclusive: spec.lifetime == QueueLifetime::Transient,
        nowait: false, // a refusal must be an error here
    };
    let broker_names_it = ShortString::default();
    let queue = short(&spec.name)?;
    Ok(channel.basic_consume(queue, broker_names_it, options, FieldTable::default()).await?)
}

/// Takes deliveries from lapin as they arrive, and shortens those that are larger than any message of
/// ours: as many as the prefetch allows wait in memory, and their senders are not known.
struct Receiver {
    inbox: mpsc::UnboundedReceiver<Result<Delivery, lapin::Error>>,
    receiving: JoinHandle<()>,
}

impl Receiver {
    fn start(runtime: &Handle, mut consumer: Consumer, spec: &QueueSpec) -> Self {
        let (arrived, inbox) = mpsc::unbounded_channel();
        let largest = largest_message(spec.lifetime);
        let receiving = runtime.spawn(async move {
            while let Some(delivery) = consumer.next().await {
                let delivery = delivery.map(|mut delivery| {
                    if delivery.data.len() > largest {
                        delivery.data.truncate(SHORTENED);
                        delivery.data.shrink_to_fit();
                    }
                    open(delivery)
                });
                if arrived.send(delivery).is_err() {
                    break;
                }
            }
            // Dropping it would cancel it: see `Deliveries::end`.
            drop(arrived);
            std::future::pending::<()>().await;
        });
        Self { inbox, receiving }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.receiving.abort();
    }
}

/// The size of the largest message that is sent to such a queue, with room to spare. An answer holds up
/// to 1 MiB of records.
fn largest_message(lifetime: QueueLifetime) -> usize {
    if lifetime == QueueLifetime::Transient { 4 * 1024 * 1024 } else { 256 * 1024 }
}

/// The stream's half of a subscription.
struct Deliveries {
    queue: QueueSpec,
    /// `None` once the stream has ended. The connection stays open as long as a subscription uses
    /// it.
    consumer: Option<(Receiver, Channel, Arc<OpenConnection>)>,
    health: Arc<Health>,
    cautions: Arc<Cautions>,
    runtime: Handle,
}

impl Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let Some((receiver, _, _)) = &mut self.consumer else { return Poll::Ready(None) };
        match ready!(receiver.inbox.poll_recv(context)) {
            Some(Ok(delivery)) => Poll::Ready(Some(delivery)),
            Some(Err(error)) => {
                self.note(&error);
                self.end();
                Poll::Ready(None)
            }
            // The queue was deleted, or the channel closed.
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }
}

impl Deliveries {
    fn note(&self, error: &lapin::Error) {
        tracing::debug!(error = error as &dyn Error, queue = self.queue.name, "consuming ended");
        if is_unreadable(error) {
            self.cautions.add(&self.queue.name);
        }
        let error = BusError::from(error.clone());
        if !matches!(error, BusError::Refused(_))
            && let Some((_, _, connection)) = &self.consumer
        {
            connection.give_up();
        }
        self.health.note(name_of(&self.queue), &Err::<(), _>(error));
    }

    /// Closes the channel before it drops the consumer. Dropping the consumer first would cancel
    /// it, and the next single active consumer would start before the unacknowledged messages are
    /// back.
    fn end(&mut self) {
        if let Some((consumer, channel, connection)) = self.consumer.take() {
            self.runtime.spawn(async move {
                let closing = channel.close(REPLY_SUCCESS, ShortString::default());
                // It fails if the channel is closed already.
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
                drop((consumer, connection));
            });
        }
    }
}

/// Whether lapin could not parse what arrived.
fn is_unreadable(error: &lapin::Error) -> bool {
    match error.kind() {
        lapin::ErrorKind::ParsingError(_) => true,
        lapin::ErrorKind::ProtocolError(said) => {
            matches!(said.kind(), AMQPErrorKind::Hard(AMQPHardError::FRAMEERROR))
        }
        _ => false,
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.end();
    }
}

/// The acknowledging half of a subscription.
struct Acknowledger {
    channel: Channel,
    /// RabbitMQ closes the channel when a tag is acknowledged again.
    acknowledged_through: AtomicU64,
}

impl Acknowledge for Acknowledger {
    fn acknowledge_through(&self, tag: u64) -> BoxFuture<'_, Result<(), BusError>> {
        async move {
            if self.acknowledged_through.fetch_max(tag, Ordering::Relaxed) < tag {
                // Without `multiple` this would acknowledge this tag alone.
                self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
