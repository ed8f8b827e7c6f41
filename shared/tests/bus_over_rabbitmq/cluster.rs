//! A cluster of three nodes, of which one is down, or does not reach the others.

use contract::topology::{DEAD_LETTERS_MAX, DEAD_LETTERS_QUEUE, REHASH_QUEUE, SYNC_REQUESTS_QUEUE};
use futures_util::StreamExt;
use shared::bus::{Bus, Destination, Message, Outgoing, QueueLifetime, QueueSpec, Subscription};
use testkit::rabbitmq::RabbitMq;
use testkit::wait::{until, within};

use crate::{BOUND, connect, durable, message};

#[tokio::test]
async fn with_one_node_of_three_down_or_parted_every_queue_goes_on() {
    let [mut first, second, mut third] = RabbitMq::start_cluster().await;
    let hosts = [&first, &second, &third].map(|node| format!("127.0.0.1:{}", node.port()));
    let bus = connect(&format!("amqp://guest:guest@{}/%2f", hosts.join(",")));
    // Made on the node that goes down.
    let home = connect(&first.url());
    for queue in queues() {
        home.declare(queue).await.unwrap();
    }
    drop(home);
    let letter = Destination::Queue(DEAD_LETTERS_QUEUE.to_owned());
    publish(&bus, letter.clone(), "kept").await;
    bus.publish(vec![message(1)]).await.unwrap();

    first.kill().await;
    check_queues(&bus, "while one is down").await;
    first.restart().await;
    publish(&bus, letter.clone(), "after").await;

    third.part_from(&[&first, &second]);
    let parted = connect(&third.url());
    until("the side with fewer nodes serves nobody", BOUND, async || {
        parted.declare(durable()).await.is_err().then_some(())
    })
    .await;
    check_queues(&bus, "while one is parted").await;
    third.reunite(&[&first, &second]).await;
    publish(&parted, letter, "reunited").await;
}

/// What is sent to each queue now arrives.
async fn check_queues(bus: &dyn Bus, id: &str) {
    for queue in queues() {
        let name = queue.name.clone();
        let mut subscription = subscribe(bus, queue).await;
        publish(bus, Destination::Queue(name.clone()), id).await;
        let arrived = async {
            while subscription.next().await.is_some_and(|delivery| delivery.message.id != id) {
                // What was there before.
            }
        };
        within(&name, BOUND, arrived).await;
    }
}

fn queues() -> [QueueSpec; 4] {
    let archive = QueueLifetime::Archive { capacity: DEAD_LETTERS_MAX };
    let all = [
        (SYNC_REQUESTS_QUEUE, QueueLifetime::Shared),
        (REHASH_QUEUE, QueueLifetime::Shared),
        (DEAD_LETTERS_QUEUE, archive),
        ("queue", durable().lifetime),
    ];
    all.map(|(name, lifetime)| QueueSpec {
        name: name.to_owned(),
        lifetime,
        bindings: vec![],
        prefetch: 10,
    })
}

async fn subscribe(bus: &dyn Bus, queue: QueueSpec) -> Subscription {
    let name = queue.name.clone();
    until(&name, BOUND, async || bus.subscribe(queue.clone()).await.ok()).await
}

/// Until it is confirmed.
async fn publish(bus: &dyn Bus, to: Destination, id: &str) {
    let message = Message { id: id.to_owned(), is_persistent: true, ..Message::default() };
    let outgoing = Outgoing { to, message };
    until("a confirm", BOUND, async || bus.publish(vec![outgoing.clone()]).await.ok()).await;
}
