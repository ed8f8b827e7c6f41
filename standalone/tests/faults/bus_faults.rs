//! Faults inside the broker.

use std::time::Duration;

use contract::event::header;
use contract::topology::{ALL_USER_EVENTS, USERS_EXCHANGE, projection_queue};
use futures_util::StreamExt;
use shared::bus::{
    AmqpBus, AmqpConfig, Binding, Bus, Delivery, Destination, Message, Outgoing, QueueLifetime,
    QueueSpec,
};
use testkit::rabbitmq::RabbitMq;
use testkit::wait::within;

use crate::round::Round;

/// How many events are captured, and come again.
const CAPTURED: usize = 60;
const BOUND: Duration = Duration::from_secs(20);

/// The queue of the projection goes, with all that is in it.
pub(crate) fn delete_queue(broker: &RabbitMq) {
    let name = projection_queue("1");
    broker.control(&[
        "eval",
        &format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{name}\">>)), \
         rabbit_amqqueue:delete(Q, false, false, <<\"test\">>)."
        ),
    ]);
}

/// The exchange goes, and with it every binding. Nobody is told.
pub(crate) fn delete_exchange(broker: &RabbitMq, name: &str) {
    broker.control(&[
        "eval",
        &format!(
            "rabbit_exchange:delete(rabbit_misc:r(<<\"/\">>, exchange, <<\"{name}\">>), \
         false, <<\"test\">>)."
        ),
    ]);
}

/// Events come again: doubled, in another order, garbled, and forged ones among them.
pub(crate) async fn replay(broker: &RabbitMq, round: &mut Round) {
    let bus = AmqpBus::new(&AmqpConfig {
        url: broker.url().into(),
        connection_name: "replay".to_owned(),
        confirm_timeout: BOUND,
        connect_timeout: BOUND,
    })
    .unwrap();
    let queue = QueueSpec {
        name: "test.capture".to_owned(),
        lifetime: QueueLifetime::Transient,
        bindings: vec![Binding {
            exchange: USERS_EXCHANGE.into(),
            routing_key: ALL_USER_EVENTS.into(),
        }],
        prefetch: 1000,
    };
    let subscription = bus.subscribe(queue).await.unwrap();
    let captured: Vec<Outgoing> =
        within("events", BOUND, subscription.take(CAPTURED).map(as_it_came).collect()).await;
    let mut again: Vec<Outgoing> = Vec::new();
    for Outgoing { to, message } in captured {
        let genuine = Outgoing { to: to.clone(), message: message.clone() };
        again.extend([genuine.clone(), genuine]);
        again.push(Outgoing { to, message: garbled(message, round) });
    }
    round.random.shuffle(&mut again);
    bus.publish(again).await.unwrap();
}

/// Under the routing key that it came with, which its MAC covers.
fn as_it_came(Delivery { message, routing_key, .. }: Delivery) -> Outgoing {
    let exchange = USERS_EXCHANGE.to_owned();
    Outgoing { to: Destination::Topic { exchange, routing_key }, message }
}

/// As a bad network, a bad disk or a bad program would leave it.
fn garbled(mut message: Message, round: &mut Round) -> Message {
    match round.random.below(5) {
        // It claims to be a later one.
        0 => drop(message.headers.insert(header::SEQUENCE.into(), {
            let seq: u64 = message.headers[header::SEQUENCE].parse().unwrap();
            (seq + round.random.below(400) as u64).to_string()
        })),
        1 => message.body = message.body.slice(..message.body.len() / 2),
        2 => drop(message.headers.remove(header::PREV_HASH)),
        3 => drop(message.headers.insert(header::INCARNATION.into(), "ab".repeat(16))),
        _ => message.body = b"\xff\x00 no event".as_slice().into(),
    }
    message
}
