//! What is declared at the broker. Every flag is written out: one topology for RabbitMQ 3.10 to
//! 4.x must not depend on a default that changed.

use std::time::Duration;

use contract::topology::{DEAD_LETTERS_EXCHANGE, DEAD_LETTERS_MAX, DEAD_LETTERS_QUEUE};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::envelope::short;
use crate::bus::{BusError, QueueLifetime, QueueSpec};

/// A shared queue that nobody consumed from for this long holds nothing of worth.
const SHARED_QUEUE_EXPIRES: Duration = Duration::from_hours(24);

/// How often a message is delivered again that nobody acknowledges, most likely because it breaks
/// the connection of whoever receives it. Then the broker takes it out of the queue. What is lost
/// when the cause was another is asked for by the protocol.
const DELIVERY_LIMIT: i64 = 5;

/// A message that is not to be taken away, however often a person looks at it. (Since 4.0 the default
/// is 20; -1 made 3.10.8 drop all that was unacknowledged.)
const DELIVERY_LIMIT_OF_ARCHIVES: i64 = 1_000_000;

/// A question that waited for this long was asked again; a service that was away must not answer
/// each of them when it comes back.
const SHARED_MESSAGE_EXPIRES: Duration = Duration::from_secs(10);

pub(super) async fn declare_exchange(channel: &Channel, exchange: &str) -> Result<(), BusError> {
    declare_exchange_of(ExchangeKind::Topic, channel, exchange).await
}

async fn declare_exchange_of(
    kind: ExchangeKind,
    channel: &Channel,
    exchange: &str,
) -> Result<(), BusError> {
    let options = ExchangeDeclareOptions {
        passive: false,     // make it if it is not there
        durable: true,      // bindings of durable queues must survive the broker's restart
        auto_delete: false, // it stays when its last queue goes
        internal: false,    // clients publish to it
        nowait: false,      // a refusal is to be an error here, not one of the next call
    };
    let arguments = FieldTable::default();
    channel.exchange_declare(short(exchange)?, kind, options, arguments).await?;
    Ok(())
}

/// Declares the queue with its exchanges and bindings, and with the place for what cannot be
/// received from it.
pub(super) async fn declare_queue(channel: &Channel, spec: &QueueSpec) -> Result<(), BusError> {
    if has_dead_letters(spec.lifetime) {
        declare_dead_letters(channel).await?;
    }
    let name = short(&spec.name)?;
    let options = queue_options(spec.lifetime);
    channel.queue_declare(name, options, queue_arguments(spec.lifetime)).await?;
    for binding in &spec.bindings {
        declare_exchange(channel, &binding.exchange).await?;
        let key = &binding.routing_key;
        bind(channel, &spec.name, &binding.exchange, key, FieldTable::default()).await?;
    }
    Ok(())
}

/// A queue drops questions that are too old, and what is more than it may hold, all day long; only
/// what reached the delivery limit is for people to look at. The broker notes the reason in a header,
/// and so a headers exchange can tell them apart.
async fn declare_dead_letters(channel: &Channel) -> Result<(), BusError> {
    let lifetime = QueueLifetime::Archive { capacity: DEAD_LETTERS_MAX };
    let arguments = queue_arguments(lifetime);
    channel.queue_declare(short(DEAD_LETTERS_QUEUE)?, queue_options(lifetime), arguments).await?;
    declare_exchange_of(ExchangeKind::Headers, channel, DEAD_LETTERS_EXCHANGE).await?;
    let mut reason = FieldTable::default();
    // Without `with-x`, headers that begin with `x-` would not be looked at.
    reason.insert("x-match".into(), AMQPValue::LongString("all-with-x".into()));
    let limit = AMQPValue::LongString("delivery_limit".into());
    reason.insert("x-first-death-reason".into(), limit);
    bind(channel, DEAD_LETTERS_QUEUE, DEAD_LETTERS_EXCHANGE, "", reason).await
}

async fn bind(
    channel: &Channel,
    queue: &str,
    exchange: &str,
    key: &str,
    arguments: FieldTable,
) -> Result<(), BusError> {
    let options = QueueBindOptions { nowait: false };
    let (queue, exchange, key) = (short(queue)?, short(exchange)?, short(key)?);
    Ok(channel.queue_bind(queue, exchange, key, options, arguments).await?)
}

/// Those that are consumed, and stay when a connection breaks.
fn has_dead_letters(lifetime: QueueLifetime) -> bool {
    matches!(lifetime, QueueLifetime::Durable { .. } | QueueLifetime::Shared)
}

fn queue_options(lifetime: QueueLifetime) -> QueueDeclareOptions {
    let is_transient = lifetime == QueueLifetime::Transient;
    QueueDeclareOptions {
        passive: false, // make it if it is not there
        // Shared queues are durable too: 4.x deprecates queues that are neither that nor exclusive.
        durable: !is_transient,
        exclusive: is_transient,   // goes with its connection at the latest
        auto_delete: is_transient, // goes with its consumer
        nowait: false,
    }
}

fn queue_arguments(lifetime: QueueLifetime) -> FieldTable {
    let mut arguments = FieldTable::default();
    let mut set = |name: &str, value: AMQPValue| {
        arguments.insert(name.into(), value);
    };
    // Named, because the default is a setting of the virtual host. A durable queue has a copy on
    // each node of a cluster: one of the kind `classic` would be gone while its node is down.
    let kind = if lifetime == QueueLifetime::Transient { "classic" } else { "quorum" };
    set("x-queue-type", AMQPValue::LongString(kind.into()));
    // A queue that nobody empties must not fill the disk; the oldest go, which the protocol mends.
    let capacity = match lifetime {
        QueueLifetime::Archive { capacity } => capacity,
        _ => 1_000_000,
    };
    set("x-max-length", AMQPValue::LongLongInt(capacity.into()));
    set("x-overflow", AMQPValue::LongString("drop-head".into()));
    if has_dead_letters(lifetime) {
        set("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT));
        set("x-dead-letter-exchange", AMQPValue::LongString(DEAD_LETTERS_EXCHANGE.into()));
    }
    match lifetime {
        QueueLifetime::Durable { expires } => {
            set("x-expires", milliseconds(expires));
            // The next consumer starts when the last has returned what it held: that keeps order.
            set("x-single-active-consumer", AMQPValue::Boolean(true));
        }
        QueueLifetime::Shared => {
            set("x-expires", milliseconds(SHARED_QUEUE_EXPIRES));
            set("x-message-ttl", milliseconds(SHARED_MESSAGE_EXPIRES));
        }
        QueueLifetime::Archive { .. } => {
            set("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT_OF_ARCHIVES));
        }
        QueueLifetime::Transient => {}
    }
    arguments
}

/// RabbitMQ wants a number from 1 to 2^32 - 1.
fn milliseconds(time: Duration) -> AMQPValue {
    AMQPValue::LongLongInt(i64::from(u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)))
}
