//! The bus over RabbitMQ, 3.10 to 4.x.
//!
//! There is no reconnecting in the background: a call that finds no live connection opens one, and
//! a call that fails drops the connection that it used. The caller must repeat a failed call
//! anyway, so the caller alone decides when to try again. (lapin's own recovery would replay
//! publishes and consumers behind the caller's back.)
//!
//! Publishing and consuming use separate connections: when RabbitMQ runs out of disk or memory, it
//! stops reading from every connection that publishes, and acknowledgements must not wait for that.
//!
//! lapin logs returned messages with their bodies at `warn`, as target `lapin::returned_messages`;
//! keep that target off.

mod connection;
mod connector;
mod consumer;
mod envelope;
mod health;
mod hosts;
mod pace;
mod publisher;
mod retirement;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use secrecy::{ExposeSecret, SecretString};

use self::connector::Connector;
use self::consumer::Consumers;
use self::health::Health;
use self::publisher::Publisher;
use super::{
    Bus, BusError, BusStatus, Destination, Outgoing, QueueSpec, Refusal, RefusalKind, Subscription,
};

/// How to reach RabbitMQ.
#[derive(Clone, Debug)]
pub struct AmqpConfig {
    /// `amqp://user:password@host:port/vhost` or `amqps://…`. Without `?heartbeat=` it is 10 s.
    /// Several hosts with commas between them, or several URLs, are the nodes of one cluster.
    pub url: SecretString,
    /// The name of these connections on RabbitMQ's management page.
    pub connection_name: String,
    /// How long one batch may take to be confirmed.
    pub confirm_timeout: Duration,
    /// How long connecting may take, and how long declaring a queue may take.
    pub connect_timeout: Duration,
}

/// The URL cannot be parsed. Its content stays secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form amqp://user:password@host:port/vhost")]
pub struct InvalidAmqpUrl;

/// Exchanges and queues of RabbitMQ.
pub struct AmqpBus {
    /// Publishes messages that must not be lost.
    persistent: Publisher,
    /// Publishes to topics what may be lost. It has its own connection, so that heads do not wait
    /// while a slow or dead queue delays the confirm of an event.
    transient: Publisher,
    /// Publishes to queues what may be lost: questions and answers. They need no exchange, and
    /// declaring one was seen to take 10 s after a restart of RabbitMQ 3.10.
    direct: Publisher,
    consumers: Consumers,
    /// The outcomes of the last attempts; also updated by streams that break.
    health: Arc<Health>,
}

impl AmqpBus {
    /// Whether this URL can be used.
    ///
    /// # Errors
    /// It cannot be parsed.
    pub fn check(url: &SecretString) -> Result<(), InvalidAmqpUrl> {
        hosts::parse(url.expose_secret()).map(drop)
    }

    /// Opens no connection yet. Must be called inside a tokio runtime, the one that lives longest:
    /// it drives all connections.
    ///
    /// # Errors
    /// The URL cannot be parsed.
    pub fn new(config: &AmqpConfig) -> Result<Self, InvalidAmqpUrl> {
        let health = Arc::new(Health::default());
        let publisher =
            |purpose| Ok(Publisher::new(Connector::new(config, purpose)?, config.confirm_timeout));
        Ok(Self {
            persistent: publisher("publish")?,
            transient: publisher("tell")?,
            direct: publisher("answer")?,
            consumers: Consumers::new(Connector::new(config, "consume")?, Arc::clone(&health)),
            health,
        })
    }

    /// Returns whether each message reached a queue, if that is `mandatory`, and otherwise true.
    async fn send(&self, batch: &[Outgoing], mandatory: bool) -> Result<bool, BusError> {
        let (what, publisher) = self.publisher_for(batch);
        let outcome = publisher.publish(batch, mandatory).await;
        self.health.note(what, &outcome);
        outcome
    }

    /// Picks the publisher: each has its own connection, opened when it is needed. Also returns the
    /// operation's name for when the broker refuses it.
    fn publisher_for(&self, batch: &[Outgoing]) -> (&'static str, &Publisher) {
        if batch.iter().any(|outgoing| outgoing.message.is_persistent) {
            ("publishing", &self.persistent)
        } else if batch.iter().any(|outgoing| matches!(outgoing.to, Destination::Topic { .. })) {
            ("telling", &self.transient)
        } else {
            ("answering", &self.direct)
        }
    }
}

impl Bus for AmqpBus {
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        async move { self.send(&batch, false).await.map(drop) }.boxed()
    }

    fn publish_mandatory(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        async move { self.send(&[outgoing], true).await }.boxed()
    }

    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        async move {
            let subscribed = self.consumers.subscribe(&queue).await;
            self.health.note(health::name_of(&queue), &subscribed);
            subscribed
        }
        .boxed()
    }

    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), BusError>> {
        async move {
            let declared = self.consumers.declare(&queue).await;
            self.health.note(health::name_of(&queue), &declared);
            declared
        }
        .boxed()
    }

    fn declare_exchange(&self, exchange: &'static str) -> BoxFuture<'_, Result<(), BusError>> {
        async move {
            let declared = self.consumers.declare_exchange(exchange).await;
            self.health.note(exchange, &declared);
            declared
        }
        .boxed()
    }

    fn status(&self) -> BusStatus {
        self.health.status()
    }
}

impl From<lapin::Error> for BusError {
    /// A channel error means that the broker answered with a refusal.
    fn from(error: lapin::Error) -> Self {
        match error.kind() {
            lapin::ErrorKind::ProtocolError(said) => match said.kind() {
                AMQPErrorKind::Soft(soft) => {
                    let said = said.get_message().to_string();
                    Self::Refused(Refusal { kind: refusal_kind(soft), said })
                }
                AMQPErrorKind::Hard(_) => Self::Unreachable(said.to_string().into()),
            },
            lapin::ErrorKind::RuntimeShutdownError(_) => Self::Closed,
            _ => Self::Unreachable(error.to_string().into()),
        }
    }
}

fn refusal_kind(error: &AMQPSoftError) -> RefusalKind {
    match error {
        AMQPSoftError::ACCESSREFUSED => RefusalKind::NotPermitted,
        AMQPSoftError::PRECONDITIONFAILED => RefusalKind::OtherArguments,
        AMQPSoftError::RESOURCELOCKED | AMQPSoftError::NOTFOUND => RefusalKind::NotAvailable,
        _ => RefusalKind::Other,
    }
}
