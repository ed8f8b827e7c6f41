//! Consumes from queues.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, Consumer};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::envelope::{open, short};
use super::link::Connector;
use super::topology::declare_queue;
use crate::bus::{Acknowledge, BusError, Delivery, QueueLifetime, QueueSpec, Subscription};

/// Owns the connection that consumes.
pub(super) struct Consumers {
    link: Connector,
    /// An async lock, because it is held while connecting: callers share what the first one makes.
    connection: Mutex<Option<Connection>>,
    /// Told of streams that break.
    is_connected: Arc<AtomicBool>,
    /// Closes channels after their subscriptions.
    runtime: Handle,
}

impl Consumers {
    pub(super) fn new(link: Connector, is_connected: Arc<AtomicBool>) -> Self {
        let runtime = Handle::current();
        Self { link, connection: Mutex::new(None), is_connected, runtime }
    }

    pub(super) async fn subscribe(&self, spec: &QueueSpec) -> Result<Subscription, BusError> {
        let channel = self.open_channel().await?;
        let consuming = self.link.bounded(consume(&channel, spec)).await;
        if matches!(consuming, Err(BusError::TimedOut(_))) {
            // The broker is silent: the next call finds out by a new connection.
            *self.connection.lock().await = None;
        }
        let acknowledger =
            Acknowledger { channel: channel.clone(), acknowledged_through: AtomicU64::new(0) };
        let deliveries = Deliveries {
            consumer: Some((consuming?, channel)),
            is_connected: Arc::clone(&self.is_connected),
            runtime: self.runtime.clone(),
        };
        Ok(Subscription::new(deliveries, acknowledger))
    }

    pub(super) async fn declare(&self, spec: &QueueSpec) -> Result<(), BusError> {
        let channel = self.open_channel().await?;
        // The channel goes when it is dropped.
        self.link.bounded(declare_queue(&channel, spec)).await
    }

    /// A channel of its own for each subscription: an error in one does not end another.
    async fn open_channel(&self) -> Result<Channel, BusError> {
        let mut slot = self.connection.lock().await;
        let connection = match slot.take() {
            Some(alive) if alive.status().connected() => alive,
            _ => self.link.connect().await?,
        };
        let channel = self.link.bounded(async { Ok(connection.create_channel().await?) }).await?;
        *slot = Some(connection);
        Ok(channel)
    }
}

async fn consume(channel: &Channel, spec: &QueueSpec) -> Result<Consumer, BusError> {
    declare_queue(channel, spec).await?;
    // Per consumer: quorum queues know no other, and 4.x deprecates it.
    channel.basic_qos(spec.prefetch.max(1), BasicQosOptions { global: false }).await?;
    let options = BasicConsumeOptions {
        no_local: false, // RabbitMQ does not know it
        no_ack: false,   // what was not acknowledged is to come again
        // A transient queue has one owner. (A durable one has one active consumer, by its own rule,
        // so that the next may already wait for its turn.)
        exclusive: spec.lifetime == QueueLifetime::Transient,
        nowait: false, // a refusal is to be an error here
    };
    let broker_names_it = ShortString::default();
    let queue = short(&spec.name)?;
    Ok(channel.basic_consume(queue, broker_names_it, options, FieldTable::default()).await?)
}

/// The stream's half of a subscription.
struct Deliveries {
    /// Until the stream has ended.
    consumer: Option<(Consumer, Channel)>,
    is_connected: Arc<AtomicBool>,
    runtime: Handle,
}

impl Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let Some((consumer, _)) = &mut self.consumer else { return Poll::Ready(None) };
        match ready!(Pin::new(consumer).poll_next(context)) {
            Some(Ok(delivery)) => Poll::Ready(Some(open(delivery))),
            Some(Err(error)) => {
                tracing::debug!(error = %error, "consuming ended");
                self.is_connected.store(false, Ordering::Relaxed);
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
    /// Closes the channel, and only then lets go of the consumer: dropping it first would cancel
    /// it, and a single active consumer's successor would start before the unacknowledged are back.
    fn end(&mut self) {
        if let Some((consumer, channel)) = self.consumer.take() {
            self.runtime.spawn(async move {
                // It fails if the channel is closed already.
                let _ = channel
                    .close(lapin::protocol::constants::REPLY_SUCCESS, ShortString::default())
                    .await;
                drop(consumer);
            });
        }
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
                // Without `multiple` this would be this tag alone.
                self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
