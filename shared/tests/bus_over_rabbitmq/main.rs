//! The bus over RabbitMQ when something is wrong: with RabbitMQ, with the network to it, with what it
//! knows, or with what others send.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod cluster;
mod failures;
mod poison;
mod refusals;
mod upgrade;

use std::time::Duration;

use futures_util::StreamExt;
use secrecy::SecretString;
use shared::bus::{
    AmqpBus, AmqpConfig, Bus, Delivery, Destination, Message, Outgoing, QueueLifetime, QueueSpec,
    Subscription,
};
use testkit::wait::{until, within};

const BOUND: Duration = Duration::from_secs(30);
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);
/// More than the timeouts that a call may use up one after the other.
const CALL_BOUND: Duration = Duration::from_secs(7);

fn config(url: &str) -> AmqpConfig {
    AmqpConfig {
        url: SecretString::from(url),
        connection_name: "bus_over_rabbitmq".to_owned(),
        confirm_timeout: CONFIRM_TIMEOUT,
        connect_timeout: CONFIRM_TIMEOUT,
    }
}

fn connect(url: &str) -> AmqpBus {
    AmqpBus::new(&config(url)).unwrap()
}

fn durable() -> QueueSpec {
    let lifetime = QueueLifetime::Durable { expires: Duration::from_mins(10) };
    QueueSpec { name: "queue".to_owned(), lifetime, bindings: Vec::new(), prefetch: 100 }
}

fn message(id: u32) -> Outgoing {
    let message = Message { id: id.to_string(), is_persistent: true, ..Message::default() };
    Outgoing { to: Destination::Queue("queue".to_owned()), message }
}

async fn publish_until_confirmed(bus: &AmqpBus, id: u32) {
    until("a confirm", BOUND, async || bus.publish(vec![message(id)]).await.ok()).await;
}

async fn subscribe(bus: &AmqpBus) -> Subscription {
    until("a subscription", BOUND, async || bus.subscribe(durable()).await.ok()).await
}

async fn take(queue: &mut Subscription, count: usize) -> Vec<Delivery> {
    within("deliveries", BOUND, queue.take(count).collect()).await
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| &*delivery.message.id).collect()
}
