//! What the bus over RabbitMQ does when RabbitMQ, or the network to it, fails.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use secrecy::SecretString;
use shared::bus::{
    AmqpBus, AmqpConfig, Bus, BusError, Delivery, Destination, InvalidAmqpUrl, Message, Outgoing,
    QueueLifetime, QueueSpec, Subscription,
};
use testkit::rabbitmq::RabbitMq;
use testkit::tcp_proxy::TcpProxy;
use testkit::wait::{until, until_holds, within};

const BOUND: Duration = Duration::from_secs(30);
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);
/// More than the timeouts that a call may use up one after the other.
const CALL_BOUND: Duration = Duration::from_secs(7);

#[tokio::test]
async fn a_killed_broker_fails_every_call_and_has_what_it_confirmed_when_it_is_back() {
    let mut node = RabbitMq::start().await;
    let bus = connect(&node.url());
    let mut queue = bus.subscribe(durable()).await.unwrap();
    bus.publish((1..=3).map(message).collect()).await.unwrap();
    assert_eq!(ids(&take(&mut queue, 3).await), ["1", "2", "3"]);
    queue.acknowledge_through(1).await.unwrap();
    assert!(bus.is_connected());

    node.flush();
    node.kill().await;
    assert!(within("the stream's end", BOUND, queue.next()).await.is_none());
    assert!(queue.acknowledge_through(3).await.is_err());
    for _ in 0..2 {
        let published = within("an error", CALL_BOUND, bus.publish(vec![message(4)])).await;
        assert!(matches!(published, Err(BusError::Unreachable(_))), "{published:?}");
        let subscribed = within("an error", CALL_BOUND, bus.subscribe(durable())).await.err();
        assert!(matches!(subscribed, Some(BusError::Unreachable(_))), "{subscribed:?}");
    }
    assert!(!bus.is_connected());

    node.restart().await;
    publish_until_confirmed(&bus, 5).await;
    let mut queue = subscribe(&bus).await;
    let arrived = take(&mut queue, 3).await;
    // The first was acknowledged, but so late that it may come again.
    let arrived = if arrived[0].message.id == "1" {
        arrived.into_iter().skip(1).chain(take(&mut queue, 1).await).collect()
    } else {
        arrived
    };
    assert_eq!(ids(&arrived), ["2", "3", "5"]);
    assert!(bus.is_connected());
}

#[tokio::test]
async fn a_silent_network_ends_calls_and_streams_and_heals() {
    let node = RabbitMq::start().await;
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, node.port()));
    let network = TcpProxy::start(target).await;
    let bus = connect(&format!("amqp://127.0.0.1:{}/%2f?heartbeat=1", network.port()));
    let mut queue = bus.subscribe(durable()).await.unwrap();
    bus.publish(vec![message(1)]).await.unwrap();
    take(&mut queue, 1).await;

    network.stall();
    let started = Instant::now();
    assert!(bus.publish(vec![message(2)]).await.is_err());
    assert!(started.elapsed() < CALL_BOUND, "{:?}", started.elapsed());
    assert!(within("the stream's end", BOUND, queue.next()).await.is_none());

    network.heal();
    publish_until_confirmed(&bus, 3).await;
    network.cut();
    assert!(within("an error", CALL_BOUND, bus.publish(vec![message(4)])).await.is_err());
    network.heal();
    publish_until_confirmed(&bus, 5).await;
    let mut queue = subscribe(&bus).await;
    until("all that was confirmed", BOUND, async || {
        (take(&mut queue, 1).await[0].message.id == "5").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_alarm_of_the_broker_times_out_and_opens_no_connection_after_another() {
    let node = RabbitMq::start().await;
    let bus = connect(&node.url());
    let mut queue = bus.subscribe(durable()).await.unwrap();
    bus.publish(vec![message(1)]).await.unwrap();

    node.control(&["set_vm_memory_high_watermark", "0.0000001"]);
    // It takes a moment until the alarm is there.
    until("the alarm", BOUND, async || bus.publish(vec![message(2)]).await.err()).await;
    for _ in 0..20 {
        let published = bus.publish(vec![message(2)]).await;
        assert!(matches!(published, Err(BusError::TimedOut(_))), "{published:?}");
    }
    assert_eq!(node.control(&["list_connections", "pid", "--no-table-headers"]).lines().count(), 2);
    // Consuming does not suffer.
    let tag = take(&mut queue, 1).await[0].tag;
    queue.acknowledge_through(tag).await.unwrap();

    node.control(&["set_vm_memory_high_watermark", "0.8"]);
    publish_until_confirmed(&bus, 3).await;
    until("what was confirmed after the alarm", BOUND, async || {
        (take(&mut queue, 1).await[0].message.id == "3").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dropped_bus_leaves_no_connection() {
    let node = RabbitMq::start().await;
    let bus = connect(&node.url());
    let queue = bus.subscribe(durable()).await.unwrap();
    bus.publish(vec![message(1)]).await.unwrap();
    let connections =
        || node.control(&["list_connections", "pid", "--no-table-headers"]).lines().count();
    until_holds("both connections are known", BOUND, || connections() == 2).await;
    drop((queue, bus));
    until_holds("no connection is left", BOUND, || connections() == 0).await;
}

#[tokio::test]
async fn a_wrong_password_is_an_error_and_is_not_repeated() {
    let node = RabbitMq::start().await;
    let bus = connect(&format!("amqp://guest:hunter2@127.0.0.1:{}/%2f", node.port()));
    let error = within("an error", CALL_BOUND, bus.publish(vec![message(1)])).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    assert!(!bus.is_connected());
}

#[tokio::test]
async fn an_unusable_url_is_an_error_at_once_and_is_not_repeated() {
    let url = SecretString::from("http://guest:hunter2@localhost/");
    let config = AmqpConfig { url, ..config("") };
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(AmqpBus::new(&config).err(), Some(InvalidAmqpUrl));
}

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
