//! The queues of an earlier version are on the broker: those of commit 2574c51, declared by hand.

use contract::topology::{
    DEAD_LETTERS_MAX, DEAD_LETTERS_QUEUE, REHASH_QUEUE, SYNC_REQUESTS_QUEUE, USERS_EXCHANGE,
    predecessor, projection_queue,
};
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use shared::bus::{Binding, Bus, QueueLifetime, QueueSpec};
use testkit::rabbitmq::RabbitMq;
use testkit::wait::{until_holds, within};

use crate::{BOUND, connect, durable};

// A command of the broker blocks this thread for seconds on a busy machine: the bus needs another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queues_of_an_earlier_version_go_when_nobody_uses_them_and_dead_letters_move() {
    let node = RabbitMq::start().await;
    let old = Connection::connect(&node.url(), ConnectionProperties::default()).await.unwrap();
    let channel = old.create_channel().await.unwrap();
    declare_old_topology(&channel).await;
    for queue in ["user_service.sync", "lockstep.dead_letters", "auth.1.users"] {
        let options = BasicPublishOptions::default();
        let id = BasicProperties::default().with_message_id("a letter".into());
        channel.basic_publish("".into(), queue.into(), options, b"{}", id).await.unwrap();
    }
    // An old user_service is still there.
    let consuming = channel
        .basic_consume(
            "user_service.sync".into(),
            "old".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();

    let bus = connect(&node.url());
    let archive = QueueLifetime::Archive { capacity: DEAD_LETTERS_MAX };
    let queue = |name: &str, lifetime| QueueSpec {
        name: name.to_owned(),
        lifetime,
        bindings: vec![],
        prefetch: 1,
    };
    let mut kept = vec![
        bus.subscribe(queue(SYNC_REQUESTS_QUEUE, QueueLifetime::Shared)).await.unwrap(),
        bus.subscribe(queue(REHASH_QUEUE, QueueLifetime::Shared)).await.unwrap(),
        bus.subscribe(QueueSpec {
            bindings: vec![Binding { exchange: USERS_EXCHANGE.into(), routing_key: "#".into() }],
            ..queue(&projection_queue("1"), durable().lifetime)
        })
        .await
        .unwrap(),
    ];
    bus.declare(queue(DEAD_LETTERS_QUEUE, archive)).await.unwrap();
    until_holds("only the queue in use is left of the old ones", BOUND, || {
        old_queues(&node) == ["user_service.sync"]
    })
    .await;
    drop(consuming);
    old.close(200, "".into()).await.unwrap();
    until_holds("none of the old ones is left", BOUND, || old_queues(&node).is_empty()).await;

    kept.push(bus.subscribe(queue(DEAD_LETTERS_QUEUE, archive)).await.unwrap());
    let letter = within("the dead letter", BOUND, kept.last_mut().unwrap().next()).await.unwrap();
    assert_eq!(letter.message.id, "a letter");
    let all = node.control(&["list_queues", "name", "type", "durable", "--no-table-headers"]);
    for line in all.lines().filter(|line| line.ends_with("true")) {
        assert!(line.contains("quorum"), "{line}");
    }
}

/// As `shared/src/bus/amqp/topology.rs` of that commit declares it.
async fn declare_old_topology(channel: &Channel) {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let nothing = FieldTable::default;
    let exchange = || USERS_EXCHANGE.into();
    channel.exchange_declare(exchange(), ExchangeKind::Topic, options, nothing()).await.unwrap();
    let day = 24 * 3_600 * 1_000;
    let queues = [
        ("user_service.sync", "classic", vec![("x-expires", day), ("x-message-ttl", 10_000)]),
        ("user_service.rehash", "classic", vec![("x-expires", day), ("x-message-ttl", 10_000)]),
        ("lockstep.dead_letters", "classic", vec![("x-max-length", 10_000)]),
        ("auth.1.users", "quorum", vec![("x-expires", day), ("x-delivery-limit", 1_000_000)]),
    ];
    for (name, kind, numbers) in queues {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
        for (argument, number) in numbers {
            arguments.insert(argument.into(), AMQPValue::LongLongInt(number));
        }
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.into(), options, arguments).await.unwrap();
    }
    let options = QueueBindOptions::default();
    let bound =
        channel.queue_bind("auth.1.users".into(), exchange(), "#".into(), options, nothing());
    bound.await.unwrap();
}

fn old_queues(node: &RabbitMq) -> Vec<String> {
    let names = node.control(&["list_queues", "name", "--no-table-headers"]);
    names.lines().filter(|name| predecessor(name).is_none()).map(str::to_owned).collect()
}
