//! What is declared at the broker. Every flag is written out: one topology serves RabbitMQ 3.10 to
//! 4.x and must not depend on a default that changed.

use std::time::Duration;

use contract::topology::{DEAD_LETTERS_EXCHANGE, DEAD_LETTERS_MAX, DEAD_LETTERS_QUEUE};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::envelope::short;
use crate::bus::{BusError, QueueLifetime, QueueSpec};

/// If nobody consumed from a shared queue for this long, its messages are worthless.
const SHARED_QUEUE_EXPIRES: Duration = Duration::from_hours(24);

/// How often an unacknowledged message is delivered again. Most likely it breaks the connection of
/// its receiver; at the limit the broker removes it from the queue. If the cause was another, the
/// protocol asks for the lost content again.
const DELIVERY_LIMIT: i64 = 5;

/// For messages that must stay in the queue, however often a person looks at them. (Since 4.0 the
/// default is 20; -1 made 3.10.8 drop all unacknowledged messages.)
const DELIVERY_LIMIT_OF_ARCHIVES: i64 = 1_000_000;

/// The follower has asked again after this time; a service that was down must not answer each of
/// these questions when it comes back.
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
        passive: false,     // create it if it does not exist
        durable: true,      // bindings of durable queues must survive the broker's restart
        auto_delete: false, // it stays when its last queue is deleted
        internal: false,    // clients publish to it
        nowait: false,      // a refusal must be an error here, not one of the next call
    };
    let arguments = FieldTable::default();
    channel.exchange_declare(short(exchange)?, kind, options, arguments).await?;
    Ok(())
}

/// Declares the queue with its exchanges and bindings.
pub(super) async fn declare_queue(channel: &Channel, spec: &QueueSpec) -> Result<(), BusError> {
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

/// Declares the dead-letter queue for messages that cannot be received. A queue works without it.
///
/// A queue routinely drops questions that are too old and messages beyond its capacity; only
/// messages that reached the delivery limit are for people to look at. The broker notes the reason
/// in a header, so a headers exchange can tell them apart.
pub(super) async fn declare_dead_letters(channel: &Channel) -> Result<(), BusError> {
    let lifetime = QueueLifetime::Archive { capacity: DEAD_LETTERS_MAX };
    let arguments = queue_arguments(lifetime);
    channel.queue_declare(short(DEAD_LETTERS_QUEUE)?, queue_options(lifetime), arguments).await?;
    declare_exchange_of(ExchangeKind::Headers, channel, DEAD_LETTERS_EXCHANGE).await?;
    let mut reason = FieldTable::default();
    // Without `with-x`, headers that begin with `x-` would be ignored.
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

/// Queues that are consumed, and stay when a connection breaks.
pub(super) fn has_dead_letters(lifetime: QueueLifetime) -> bool {
    matches!(lifetime, QueueLifetime::Durable { .. } | QueueLifetime::Shared)
}

fn queue_options(lifetime: QueueLifetime) -> QueueDeclareOptions {
    let is_transient = lifetime == QueueLifetime::Transient;
    QueueDeclareOptions {
        passive: false, // create it if it does not exist
        // Shared queues are durable too: 4.x deprecates queues that are neither that nor exclusive.
        durable: !is_transient,
        exclusive: is_transient, // deleted with its connection at the latest
        auto_delete: is_transient, // deleted with its consumer
        nowait: false,
    }
}

fn queue_arguments(lifetime: QueueLifetime) -> FieldTable {
    let mut arguments = FieldTable::default();
    let mut set = |name: &str, value: AMQPValue| {
        arguments.insert(name.into(), value);
    };
    // Named, because the default depends on the virtual host. A quorum queue has a copy on each
    // node of a cluster; a `classic` queue would be unavailable while its node is down.
    let kind = if lifetime == QueueLifetime::Transient { "classic" } else { "quorum" };
    set("x-queue-type", AMQPValue::LongString(kind.into()));
    // A queue that nobody empties must not fill the disk. The oldest messages are dropped; the
    // protocol repairs that.
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
            // The next consumer starts when the previous one has returned its unacknowledged
            // messages: that keeps the order.
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

/// RabbitMQ requires a number from 1 to 2^32 - 1.
fn milliseconds(time: Duration) -> AMQPValue {
    AMQPValue::LongLongInt(i64::from(u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)))
}
