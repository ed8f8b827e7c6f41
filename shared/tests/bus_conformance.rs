//! What every [`Bus`] promises, as tests that each implementation passes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use secrecy::SecretString;
use shared::bus::{
    AmqpBus, AmqpConfig, Binding, Bus, BusError, Delivery, Destination, InProcessBus, Message,
    Outgoing, QueueLifetime, QueueSpec, Subscription,
};
use testkit::rabbitmq::RabbitMq;
use testkit::wait::{until, within};
use tokio::task::{LocalSet, spawn_local};

const BOUND: Duration = Duration::from_secs(20);
const DURABLE: QueueLifetime = QueueLifetime::Durable { expires: Duration::from_mins(10) };

/// Runs each case in a test of its own in process, and all of them on one RabbitMQ.
macro_rules! every_bus_keeps_to_it {
    ($($case:ident,)*) => {
        mod in_process {
            $(#[tokio::test]
            async fn $case() {
                super::$case(std::sync::Arc::new(super::InProcessBus::new())).await;
            })*
        }

        #[tokio::test]
        async fn rabbitmq_keeps_to_all_of_it() {
            let node = RabbitMq::start().await;
            let bus: Arc<dyn Bus> = Arc::new(AmqpBus::new(&AmqpConfig {
                url: SecretString::from(node.url()),
                connection_name: "bus_conformance".to_owned(),
                confirm_timeout: BOUND,
                connect_timeout: BOUND,
            }).unwrap());
            let mut failed = Vec::new();
            // At the same time, each caught on its own.
            LocalSet::new().run_until(async {
                let cases = [$((stringify!($case), spawn_local($case(Arc::clone(&bus)))),)*];
                for (name, case) in cases {
                    let is_kept = case.await.is_ok();
                    println!("{name} ... {}", if is_kept { "ok" } else { "FAILED" });
                    if !is_kept {
                        failed.push(name);
                    }
                }
            }).await;
            assert!(failed.is_empty(), "RabbitMQ does not keep to {failed:?}");
        }
    };
}

every_bus_keeps_to_it! {
    one_publishers_messages_arrive_in_their_order,
    a_batch_of_a_thousand_arrives_in_its_order,
    every_bound_queue_gets_one_copy,
    bindings_take_a_star_for_one_word_and_a_hash_for_any_number,
    a_message_that_no_queue_wants_is_accepted,
    whether_a_queue_took_a_message_can_be_asked,
    a_message_goes_to_a_queue_by_its_name,
    a_message_to_a_queue_that_does_not_exist_is_accepted,
    what_was_not_acknowledged_comes_again_in_order_and_marked,
    acknowledging_covers_all_before,
    acknowledging_twice_is_harmless,
    no_more_than_the_prefetch_is_outstanding,
    a_durable_queue_collects_while_nobody_consumes,
    a_durable_queue_serves_one_subscription_after_the_other,
    a_transient_queue_vanishes_with_its_subscription,
    a_transient_queue_has_one_owner,
    a_queue_cannot_change_its_lifetime,
    a_shared_queue_shares_the_work,
    a_parked_queue_keeps_what_nobody_takes_and_drops_its_oldest_when_full,
    messages_survive_byte_for_byte,
    a_bus_that_works_is_connected,
}

async fn one_publishers_messages_arrive_in_their_order(bus: Arc<dyn Bus>) {
    let mut queue = subscribe(&*bus, spec("order", DURABLE, &["#"])).await;
    for batch in 0..10 {
        let batch = (batch * 10..batch * 10 + 10).map(|id| topic("order", "key", &id));
        bus.publish(batch.collect()).await.unwrap();
    }
    let expected: Vec<String> = (0..100).map(|id| id.to_string()).collect();
    assert_eq!(ids(&take(&mut queue, 100).await), expected);
}

async fn a_batch_of_a_thousand_arrives_in_its_order(bus: Arc<dyn Bus>) {
    let mut queue = subscribe(&*bus, spec("thousand", DURABLE, &["#"])).await;
    let batch = (0..1_000).map(|id| topic("thousand", "key", &id)).collect();
    bus.publish(batch).await.unwrap();
    for id in 0..1_000 {
        let delivery = take(&mut queue, 1).await.remove(0);
        assert_eq!((delivery.message.id, delivery.tag), (id.to_string(), id + 1));
        queue.acknowledge_through(delivery.tag).await.unwrap();
    }
}

async fn every_bound_queue_gets_one_copy(bus: Arc<dyn Bus>) {
    let bound = |name, lifetime, keys| QueueSpec { name, ..spec("copies", lifetime, keys) };
    // Both bindings of the first fit: one copy all the same.
    let first = bound("copies.1".to_owned(), DURABLE, &["a.*", "#"][..]);
    let second = bound("copies.2".to_owned(), QueueLifetime::Transient, &["a.b"]);
    let third = bound("copies.3".to_owned(), QueueLifetime::Shared, &["#"]);
    let mut queues = Vec::new();
    for queue in [first, second, third] {
        queues.push(subscribe(&*bus, queue).await);
    }
    bus.publish(vec![topic("copies", "a.b", &1), topic("copies", "a.b", &2)]).await.unwrap();
    for queue in &mut queues {
        assert_eq!(ids(&take(queue, 2).await), ["1", "2"]);
    }
}

async fn bindings_take_a_star_for_one_word_and_a_hash_for_any_number(bus: Arc<dyn Bus>) {
    let mut queue = subscribe(&*bus, spec("keys", DURABLE, &["user.*", "log.#", "end"])).await;
    let keys =
        ["user", "user.created", "user.created.v1", "log", "log.head.now", "other", "logs", "end"];
    bus.publish(keys.iter().map(|key| topic("keys", key, key)).collect()).await.unwrap();
    let arrived = take(&mut queue, 4).await;
    assert_eq!(ids(&arrived), ["user.created", "log", "log.head.now", "end"]);
    assert!(arrived.iter().all(|delivery| delivery.routing_key == delivery.message.id));
}

async fn a_message_that_no_queue_wants_is_accepted(bus: Arc<dyn Bus>) {
    bus.publish(vec![topic("nobody_listens", "key", &1)]).await.unwrap();
}

async fn whether_a_queue_took_a_message_can_be_asked(bus: Arc<dyn Bus>) {
    let is_taken = async |outgoing| bus.publish_mandatory(outgoing).await.unwrap();
    assert!(!is_taken(topic("mandatory", "key", &1)).await, "there is no such exchange");
    let mut queue = subscribe(&*bus, spec("mandatory", QueueLifetime::Transient, &["key"])).await;
    assert!(!is_taken(topic("mandatory", "other", &2)).await);
    assert!(is_taken(topic("mandatory", "key", &3)).await);
    assert!(is_taken(direct("mandatory", &4)).await);
    assert!(!is_taken(direct("there.is.no.such.queue", &5)).await);
    assert_eq!(ids(&take(&mut queue, 2).await), ["3", "4"]);
    drop(queue);
    until("the queue is gone", BOUND, async || {
        (!is_taken(topic("mandatory", "key", &6)).await).then_some(())
    })
    .await;
}

async fn a_message_goes_to_a_queue_by_its_name(bus: Arc<dyn Bus>) {
    let mut queue = subscribe(&*bus, spec("by.name", QueueLifetime::Shared, &[])).await;
    bus.publish(vec![direct("by.name", &1)]).await.unwrap();
    let arrived = take(&mut queue, 1).await;
    assert_eq!((&*arrived[0].message.id, &*arrived[0].routing_key), ("1", "by.name"));
}

async fn a_message_to_a_queue_that_does_not_exist_is_accepted(bus: Arc<dyn Bus>) {
    bus.publish(vec![direct("there.is.no.such.queue", &1)]).await.unwrap();
}

async fn what_was_not_acknowledged_comes_again_in_order_and_marked(bus: Arc<dyn Bus>) {
    for (name, lifetime) in [("again.durable", DURABLE), ("again.shared", QueueLifetime::Shared)] {
        let mut queue = subscribe(&*bus, spec(name, lifetime, &["#"])).await;
        bus.publish((1..=5).map(|id| topic(name, "key", &id)).collect()).await.unwrap();
        let arrived = take(&mut queue, 5).await;
        assert!(arrived.iter().all(|delivery| !delivery.is_redelivered));
        queue.acknowledge_through(arrived[1].tag).await.unwrap();
        drop(queue);
        let mut queue = subscribe(&*bus, spec(name, lifetime, &["#"])).await;
        let mut arrived = take(&mut queue, 3).await;
        bus.publish(vec![topic(name, "key", &6)]).await.unwrap();
        arrived.extend(take(&mut queue, 1).await);
        let seen = |it: &Delivery| (it.message.id.parse().unwrap(), it.is_redelivered);
        let seen: Vec<(u8, bool)> = arrived.iter().map(seen).collect();
        assert_eq!(seen, [(3, true), (4, true), (5, true), (6, false)], "{name}");
    }
}

async fn acknowledging_covers_all_before(bus: Arc<dyn Bus>) {
    let mut queue = subscribe(&*bus, spec("covers", DURABLE, &["#"])).await;
    bus.publish((1..=3).map(|id| topic("covers", "key", &id)).collect()).await.unwrap();
    let arrived = take(&mut queue, 3).await;
    queue.acknowledge_through(arrived[2].tag).await.unwrap();
    drop(queue);
    let mut queue = subscribe(&*bus, spec("covers", DURABLE, &["#"])).await;
    bus.publish(vec![topic("covers", "key", &4)]).await.unwrap();
    let arrived = take(&mut queue, 1).await;
    assert_eq!((&*arrived[0].message.id, arrived[0].tag), ("4", 1));
}

async fn acknowledging_twice_is_harmless(bus: Arc<dyn Bus>) {
    let mut queue = subscribe(&*bus, spec("twice", DURABLE, &["#"])).await;
    bus.publish((1..=2).map(|id| topic("twice", "key", &id)).collect()).await.unwrap();
    take(&mut queue, 2).await;
    for tag in [2, 2, 1] {
        queue.acknowledge_through(tag).await.unwrap();
    }
    bus.publish(vec![topic("twice", "key", &3)]).await.unwrap();
    assert_eq!(ids(&take(&mut queue, 1).await), ["3"]);
}

async fn no_more_than_the_prefetch_is_outstanding(bus: Arc<dyn Bus>) {
    let spec = spec("prefetch", QueueLifetime::Shared, &["#"]);
    let mut narrow = subscribe(&*bus, QueueSpec { prefetch: 2, ..spec.clone() }).await;
    let mut wide = subscribe(&*bus, spec).await;
    let publish = async |ids: RangeInclusive<u8>| {
        bus.publish(ids.map(|id| topic("prefetch", "key", &id)).collect()).await.unwrap();
    };
    publish(1..=8).await;
    // The narrow one holds two, so that all else has to come to the other.
    let mut arrived = ids(&take(&mut wide, 6).await);
    let held = take(&mut narrow, 2).await;
    arrived.extend(ids(&held));
    arrived.sort();
    assert_eq!(arrived, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    publish(1..=4).await;
    assert_eq!(ids(&take(&mut wide, 4).await), ["1", "2", "3", "4"]);
    // Acknowledging makes room.
    narrow.acknowledge_through(held[1].tag).await.unwrap();
    drop(wide);
    take(&mut narrow, 2).await;
}

async fn a_durable_queue_collects_while_nobody_consumes(bus: Arc<dyn Bus>) {
    drop(subscribe(&*bus, spec("collects", DURABLE, &["#"])).await);
    bus.publish((1..=3).map(|id| topic("collects", "key", &id)).collect()).await.unwrap();
    let mut queue = subscribe(&*bus, spec("collects", DURABLE, &["#"])).await;
    assert_eq!(ids(&take(&mut queue, 3).await), ["1", "2", "3"]);
}

async fn a_durable_queue_serves_one_subscription_after_the_other(bus: Arc<dyn Bus>) {
    let spec = spec("turns", DURABLE, &["#"]);
    let mut first = subscribe(&*bus, QueueSpec { prefetch: 1, ..spec.clone() }).await;
    let mut second = subscribe(&*bus, spec).await;
    bus.publish((1..=3).map(|id| topic("turns", "key", &id)).collect()).await.unwrap();
    assert_eq!(ids(&take(&mut first, 1).await), ["1"]);
    drop(first);
    assert_eq!(ids(&take(&mut second, 3).await), ["1", "2", "3"]);
}

async fn a_transient_queue_vanishes_with_its_subscription(bus: Arc<dyn Bus>) {
    let transient = || spec("vanishes", QueueLifetime::Transient, &["#"]);
    let mut queue = subscribe(&*bus, transient()).await;
    bus.publish(vec![topic("vanishes", "key", &1)]).await.unwrap();
    take(&mut queue, 1).await;
    drop(queue);
    bus.publish(vec![topic("vanishes", "key", &2)]).await.unwrap();
    let mut queue = subscribe(&*bus, transient()).await;
    bus.publish(vec![topic("vanishes", "key", &3)]).await.unwrap();
    assert_eq!(ids(&take(&mut queue, 1).await), ["3"]);
}

async fn a_transient_queue_has_one_owner(bus: Arc<dyn Bus>) {
    let owner = subscribe(&*bus, spec("owned", QueueLifetime::Transient, &["#"])).await;
    let refusal = bus.subscribe(spec("owned", QueueLifetime::Transient, &["#"])).await.err();
    assert!(matches!(refusal, Some(BusError::Refused(_))), "{refusal:?}");
    drop(owner);
}

async fn a_queue_cannot_change_its_lifetime(bus: Arc<dyn Bus>) {
    drop(subscribe(&*bus, spec("changes", QueueLifetime::Shared, &["#"])).await);
    let refusal = bus.subscribe(spec("changes", DURABLE, &["#"])).await.err();
    assert!(matches!(refusal, Some(BusError::Refused(_))), "{refusal:?}");
}

async fn a_shared_queue_shares_the_work(bus: Arc<dyn Bus>) {
    let mut one = subscribe(&*bus, spec("work", QueueLifetime::Shared, &["#"])).await;
    let mut other = subscribe(&*bus, spec("work", QueueLifetime::Shared, &["#"])).await;
    bus.publish((0..8).map(|id| topic("work", "key", &id)).collect()).await.unwrap();
    let mut all = ids(&take(&mut one, 4).await);
    all.extend(ids(&take(&mut other, 4).await));
    all.sort();
    assert_eq!(all, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

async fn a_parked_queue_keeps_what_nobody_takes_and_drops_its_oldest_when_full(bus: Arc<dyn Bus>) {
    let parked = || spec("parked", QueueLifetime::Archive { capacity: 3 }, &[]);
    for batch in [1..=2, 3..=5] {
        // Declaring it again takes nothing from it.
        bus.declare(parked()).await.unwrap();
        bus.publish(batch.map(|id| direct("parked", &id)).collect()).await.unwrap();
    }
    let mut queue = subscribe(&*bus, parked()).await;
    let kept = take(&mut queue, 3).await;
    assert!(kept.iter().all(|delivery| !delivery.is_redelivered));
    assert_eq!(ids(&kept), ["3", "4", "5"]);
}

async fn messages_survive_byte_for_byte(bus: Arc<dyn Bus>) {
    let headers = [("cloudEvents_time", "2024-01-01T00:00:00Z"), ("name", "Zoë 😀"), ("empty", "")];
    let headers: BTreeMap<String, String> =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let every_byte: Vec<u8> = (0..200 * 1024).map(|n: u32| n.to_le_bytes()[0]).collect();
    let bodies = [Bytes::new(), Bytes::from("{\"name\":\"Zoë\"}"), Bytes::from(every_byte)];
    let mut sent = vec![Message::default()];
    sent.extend(bodies.into_iter().zip([true, false, true]).map(|(body, is_persistent)| Message {
        id: "42-é".to_owned(),
        kind: "user.created.v1".to_owned(),
        headers: headers.clone(),
        body,
        is_persistent,
    }));
    let mut queue = subscribe(&*bus, spec("bytes", QueueLifetime::Shared, &["#"])).await;
    let to = Destination::Queue("bytes".to_owned());
    let batch = sent.iter().map(|message| Outgoing { to: to.clone(), message: message.clone() });
    bus.publish(batch.collect()).await.unwrap();
    let arrived = take(&mut queue, sent.len()).await;
    for (arrived, sent) in arrived.iter().zip(&sent) {
        // Not `assert_eq`: it would print 200 KB.
        assert!(arrived.message == *sent, "{} of {} bytes", sent.id, sent.body.len());
    }
}

async fn a_bus_that_works_is_connected(bus: Arc<dyn Bus>) {
    // Other cases provoke refusals on the same bus at the same time: once is enough.
    until("it is connected", BOUND, async || {
        bus.publish(vec![topic("connected", "key", &1)]).await.unwrap();
        bus.status().is_connected().then_some(())
    })
    .await;
}

/// A queue, and an exchange of the same name.
fn spec(name: &str, lifetime: QueueLifetime, routing_keys: &[&str]) -> QueueSpec {
    let bind = |key: &&str| Binding { exchange: name.into(), routing_key: (*key).into() };
    let bindings = routing_keys.iter().map(bind).collect();
    QueueSpec { name: name.into(), lifetime, bindings, prefetch: 100 }
}

fn topic(exchange: &str, routing_key: &str, id: &impl ToString) -> Outgoing {
    let (exchange, routing_key) = (exchange.into(), routing_key.into());
    outgoing(Destination::Topic { exchange, routing_key }, id)
}

fn direct(queue: &str, id: &impl ToString) -> Outgoing {
    outgoing(Destination::Queue(queue.into()), id)
}

fn outgoing(to: Destination, id: &impl ToString) -> Outgoing {
    let message = Message { id: id.to_string(), is_persistent: true, ..Message::default() };
    Outgoing { to, message }
}

/// Asks again while a transient queue's last owner is still on its way out.
async fn subscribe(bus: &dyn Bus, spec: QueueSpec) -> Subscription {
    until("a subscription", BOUND, async || match bus.subscribe(spec.clone()).await {
        Ok(subscription) => Some(subscription),
        Err(BusError::Refused(_)) => None,
        Err(error) => panic!("{error:?}"),
    })
    .await
}

async fn take(queue: &mut Subscription, count: usize) -> Vec<Delivery> {
    within("deliveries", BOUND, queue.take(count).collect()).await
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.message.id.clone()).collect()
}
