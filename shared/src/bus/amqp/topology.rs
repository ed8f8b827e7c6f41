//! What is declared at the broker. Every flag is written out: one topology for RabbitMQ 3.10 to
//! 4.x must not depend on a default that changed.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::envelope::short;
use crate::bus::{BusError, QueueLifetime, QueueSpec};

/// A shared queue that nobody consumed from for this long holds nothing of worth.
const SHARED_QUEUE_EXPIRES: Duration = Duration::from_hours(24);

/// A question that waited for this long was asked again; a service that was away must not answer
/// each of them when it comes back.
const SHARED_MESSAGE_EXPIRES: Duration = Duration::from_secs(10);

pub(super) async fn declare_exchange(channel: &Channel, exchange: &str) -> Result<(), BusError> {
    let options = ExchangeDeclareOptions {
        passive: false,     // make it if it is not there
        durable: true,      // bindings of durable queues must survive the broker's restart
        auto_delete: false, // it stays when its last queue goes
        internal: false,    // clients publish to it
        nowait: false,      // a refusal is to be an error here, not one of the next call
    };
    let arguments = FieldTable::default();
    channel.exchange_declare(short(exchange)?, ExchangeKind::Topic, options, arguments).await?;
    Ok(())
}

/// Declares the queue with its exchanges and bindings.
pub(super) async fn declare_queue(channel: &Channel, spec: &QueueSpec) -> Result<(), BusError> {
    let name = short(&spec.name)?;
    let options = queue_options(spec.lifetime);
    channel.queue_declare(name.clone(), options, queue_arguments(spec.lifetime)).await?;
    for binding in &spec.bindings {
        declare_exchange(channel, &binding.exchange).await?;
        let options = QueueBindOptions { nowait: false };
        let (exchange, key) = (short(&binding.exchange)?, short(&binding.routing_key)?);
        channel.queue_bind(name.clone(), exchange, key, options, FieldTable::default()).await?;
    }
    Ok(())
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
    // Named, because the default is a setting of the virtual host.
    let kind = if matches!(lifetime, QueueLifetime::Durable { .. }) { "quorum" } else { "classic" };
    set("x-queue-type", AMQPValue::LongString(kind.into()));
    // A queue that nobody empties must not fill the disk; the oldest go, which the protocol mends.
    let capacity = match lifetime {
        QueueLifetime::Archive { capacity } => capacity,
        _ => 1_000_000,
    };
    set("x-max-length", AMQPValue::LongLongInt(capacity.into()));
    set("x-overflow", AMQPValue::LongString("drop-head".into()));
    match lifetime {
        QueueLifetime::Durable { expires } => {
            set("x-expires", milliseconds(expires));
            // Since 4.0 the default is 20, and then the message is dropped; -1 made 3.10.8 drop
            // all that was unacknowledged.
            set("x-delivery-limit", AMQPValue::LongLongInt(1_000_000));
            // The next consumer starts when the last has returned what it held: that keeps order.
            set("x-single-active-consumer", AMQPValue::Boolean(true));
        }
        QueueLifetime::Shared => {
            set("x-expires", milliseconds(SHARED_QUEUE_EXPIRES));
            set("x-message-ttl", milliseconds(SHARED_MESSAGE_EXPIRES));
        }
        QueueLifetime::Transient | QueueLifetime::Archive { .. } => {}
    }
    arguments
}

/// RabbitMQ wants a number from 1 to 2^32 - 1.
fn milliseconds(time: Duration) -> AMQPValue {
    AMQPValue::LongLongInt(i64::from(u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)))
}
