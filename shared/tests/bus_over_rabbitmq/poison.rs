//! Others send what cannot be received.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::topology::DEAD_LETTERS_QUEUE;
use futures_util::StreamExt;
use shared::bus::{AmqpBus, Binding, Bus, Destination, Message, Outgoing, QueueSpec};
use testkit::rabbitmq::RabbitMq;
use testkit::raw_amqp::{HEADERS, MESSAGE_ID, RawAmqp, long, short};
use testkit::wait::{until_holds, within};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::{BOUND, connect, durable};

const EXCHANGE: &str = "poisoned";

/// More than the delivery limit, for each message and its neighbours.
const SUBSCRIPTIONS_MAX: usize = 12;

// A command of the broker blocks this thread for seconds on a busy machine: the bus needs another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_received_goes_to_the_dead_letters_alone() {
    let node = RabbitMq::start().await;
    let bus = Arc::new(connect(&node.url()));
    drop(bus.subscribe(queue()).await.unwrap());
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let consuming = tokio::spawn(consume(Arc::clone(&bus), arrived));
    let mut expected = 0;
    for (what, key, properties, is_readable) in poisons() {
        // Its neighbours are delivered together with it.
        bus.publish(vec![event("before")]).await.unwrap();
        let sent = RawAmqp::connect(node.port())
            .and_then(|mut client| client.publish(EXCHANGE, &key, properties_of(&properties)));
        bus.publish(vec![event(what)]).await.unwrap();
        let started = Instant::now();
        let mut subscriptions = 0;
        while let Some(arrival) = within(what, BOUND, arrivals.recv()).await {
            match arrival {
                Arrival::Subscribed => subscriptions += 1,
                Arrival::Message(id) if id == what => break,
                Arrival::Message(_) => {}
            }
        }
        expected += u32::from(sent.is_ok() && !is_readable);
        until_holds(what, BOUND, || dead_letters(&node) == expected).await;
        println!("{what}: {sent:?}, {subscriptions} subscriptions, {:?}", started.elapsed());
        assert!(subscriptions <= SUBSCRIPTIONS_MAX, "{what}: {subscriptions} subscriptions");
    }
    consuming.abort();
    // The broker may have refused one or two, but not all.
    assert!(expected >= 2, "{expected} messages could not be received");
}

type Properties = (u16, Vec<u8>);

/// What it is, its routing key, its properties, and whether it can be received after all.
fn poisons() -> Vec<(&'static str, Vec<u8>, Properties, bool)> {
    let key = || b"user.created".to_vec();
    let header = |name: &[u8], value: &[u8]| long(&[short(name), value.to_vec()].concat());
    let text = |size: usize| [b"S".to_vec(), long(&vec![b'x'; size])].concat();
    vec![
        ("20 KB of headers", key(), (HEADERS, header(b"h", &text(20_000))), true),
        ("as many headers as fit", key(), (HEADERS, header(b"h", &text(131_035))), true),
        ("a routing key that is no UTF-8", b"user.\xff".to_vec(), (0, vec![]), false),
        ("an id that is no UTF-8", key(), (MESSAGE_ID, short(b"\xff\xfe")), false),
        ("a header whose name is no UTF-8", key(), (HEADERS, header(b"\xff", b"t\x01")), false),
        ("a header that is no UTF-8", key(), (HEADERS, header(b"h", b"S\0\0\0\x01\xff")), true),
        ("a header of an unknown type", key(), (HEADERS, header(b"h", b"?\x01")), false),
        ("headers that end too soon", key(), (HEADERS, vec![0, 0, 1, 0, 1]), false),
    ]
}

fn properties_of((flags, bytes): &Properties) -> (u16, &[u8]) {
    (*flags, bytes)
}

enum Arrival {
    Subscribed,
    /// By its id.
    Message(String),
}

/// Consumes as a service does, again and again, and acknowledges all.
async fn consume(bus: Arc<AmqpBus>, arrived: mpsc::UnboundedSender<Arrival>) {
    loop {
        let Ok(mut subscription) = bus.subscribe(queue()).await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        arrived.send(Arrival::Subscribed).ok();
        while let Some(delivery) = subscription.next().await {
            subscription.acknowledge_through(delivery.tag).await.ok();
            arrived.send(Arrival::Message(delivery.message.id)).ok();
        }
    }
}

fn queue() -> QueueSpec {
    let routing_key = "user.*".to_owned();
    QueueSpec {
        bindings: vec![Binding { exchange: EXCHANGE.to_owned(), routing_key }],
        ..durable()
    }
}

fn event(id: &str) -> Outgoing {
    let (exchange, routing_key) = (EXCHANGE.to_owned(), "user.created".to_owned());
    let message = Message { id: id.to_owned(), is_persistent: true, ..Message::default() };
    Outgoing { to: Destination::Topic { exchange, routing_key }, message }
}

fn dead_letters(node: &RabbitMq) -> u32 {
    let queues = node.control(&["list_queues", "name", "messages", "--no-table-headers"]);
    let line = queues.lines().find_map(|line| line.strip_prefix(DEAD_LETTERS_QUEUE));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}
