//! The broker answers, and says no.

use std::time::{Duration, Instant};

use contract::topology::DEAD_LETTERS_EXCHANGE;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use shared::bus::{AmqpBus, Bus, BusError, BusStatus, RefusalKind};
use testkit::rabbitmq::RabbitMq;
use testkit::wait::{until, within};
use tokio::time::sleep;

use crate::{BOUND, CALL_BOUND, connect, durable, message, publish_until_confirmed, take};

/// How long a service goes on asking.
const INSISTENCE: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_wrong_password_is_named_and_tried_at_a_growing_pause() {
    let node = RabbitMq::start().await;
    let bus = connect(&format!("amqp://guest:hunter2@127.0.0.1:{}/%2f", node.port()));
    let error = within("an error", CALL_BOUND, bus.publish(vec![message(1)])).await.unwrap_err();
    assert!(matches!(error, BusError::LoginRefused), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    insist(&bus).await;
    assert_eq!(bus.status(), down("broker refused the login"));
    // 0.1 + 0.2 + 0.4 … for each of two connections.
    let attempts = node.log().matches("PLAIN login refused").count();
    assert!((4..=16).contains(&attempts), "{attempts} attempts");
}

#[tokio::test]
async fn a_virtual_host_that_is_not_there_is_named() {
    let node = RabbitMq::start().await;
    let bus = connect(&format!("amqp://127.0.0.1:{}/nowhere", node.port()));
    let error = within("an error", CALL_BOUND, bus.publish(vec![message(1)])).await.unwrap_err();
    assert!(matches!(error, BusError::VirtualHostRefused(_)), "{error:?}");
    assert_eq!(bus.status(), down("broker refused the virtual host"));
}

#[tokio::test]
async fn what_is_not_permitted_or_has_other_arguments_is_named_until_it_works() {
    let node = RabbitMq::start().await;
    node.control(&["add_user", "limited", "limited"]);
    node.control(&["set_permissions", "limited", "none", "none", "none"]);
    let bus = connect(&format!("amqp://limited:limited@127.0.0.1:{}/%2f", node.port()));
    let error = within("an error", CALL_BOUND, bus.subscribe(durable())).await.err().unwrap();
    assert!(is_refused(&error, RefusalKind::NotPermitted), "{error:?}");
    assert_eq!(bus.status(), down("broker refused the permission"));

    let bus = connect(&node.url());
    let owner = Connection::connect(&node.url(), ConnectionProperties::default()).await.unwrap();
    let channel = owner.create_channel().await.unwrap();
    let classic = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let name = durable().name;
    channel.queue_declare(name.as_str().into(), classic, FieldTable::default()).await.unwrap();
    let error = within("an error", CALL_BOUND, bus.subscribe(durable())).await.err().unwrap();
    assert!(is_refused(&error, RefusalKind::OtherArguments), "{error:?}");
    // Something else works on the same bus: the cause stays.
    publish_until_confirmed(&bus, 1).await;
    assert_eq!(bus.status(), down("a queue or exchange exists with other arguments"));
    channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    until("it works", BOUND, async || bus.subscribe(durable()).await.ok()).await;
    assert_eq!(bus.status(), BusStatus::Connected);
}

#[tokio::test]
async fn a_queue_works_without_dead_letters_and_that_is_shown() {
    let node = RabbitMq::start().await;
    let owner = Connection::connect(&node.url(), ConnectionProperties::default()).await.unwrap();
    let channel = owner.create_channel().await.unwrap();
    // Somebody has made an exchange of this name for another purpose.
    let (name, kind) = (DEAD_LETTERS_EXCHANGE.into(), ExchangeKind::Topic);
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name, kind, options, FieldTable::default()).await.unwrap();
    let bus = connect(&node.url());
    let mut queue = within("a subscription", CALL_BOUND, bus.subscribe(durable())).await.unwrap();
    publish_until_confirmed(&bus, 1).await;
    assert_eq!(take(&mut queue, 1).await[0].message.id, "1");
    assert_eq!(bus.status(), down("a queue or exchange exists with other arguments"));
}

/// Asks again and again, as services do.
async fn insist(bus: &AmqpBus) {
    let started = Instant::now();
    while started.elapsed() < INSISTENCE {
        assert!(bus.publish(vec![message(1)]).await.is_err());
        assert!(bus.subscribe(durable()).await.is_err());
        sleep(Duration::from_millis(20)).await;
    }
}

fn is_refused(error: &BusError, kind: RefusalKind) -> bool {
    matches!(error, BusError::Refused(refusal) if refusal.kind == kind)
}

fn down(cause: &str) -> BusStatus {
    BusStatus::Down { cause: cause.to_owned() }
}
