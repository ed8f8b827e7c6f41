//! RabbitMQ fails, or the network to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use secrecy::SecretString;
use shared::bus::{AmqpBus, AmqpConfig, Bus, BusError, InvalidAmqpUrl};
use testkit::rabbitmq::RabbitMq;
use testkit::tcp_proxy::TcpProxy;
use testkit::wait::{until, until_holds, within};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::{
    BOUND, CALL_BOUND, config, connect, durable, ids, message, publish_until_confirmed, subscribe,
    take,
};

#[tokio::test]
async fn a_killed_broker_fails_every_call_and_has_what_it_confirmed_when_it_is_back() {
    let mut node = RabbitMq::start().await;
    let bus = connect(&node.url());
    let mut queue = bus.subscribe(durable()).await.unwrap();
    bus.publish((1..=3).map(message).collect()).await.unwrap();
    assert_eq!(ids(&take(&mut queue, 3).await), ["1", "2", "3"]);
    queue.acknowledge_through(1).await.unwrap();
    assert!(bus.status().is_connected());

    node.kill().await;
    assert!(within("the stream's end", BOUND, queue.next()).await.is_none());
    assert!(queue.acknowledge_through(3).await.is_err());
    for _ in 0..2 {
        let published = within("an error", CALL_BOUND, bus.publish(vec![message(4)])).await;
        assert!(matches!(published, Err(BusError::Unreachable(_))), "{published:?}");
        let subscribed = within("an error", CALL_BOUND, bus.subscribe(durable())).await.err();
        assert!(matches!(subscribed, Some(BusError::Unreachable(_))), "{subscribed:?}");
    }
    assert!(!bus.status().is_connected());

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
    assert!(bus.status().is_connected());
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
async fn a_broker_that_needs_longer_for_a_handshake_gets_longer() {
    let node = RabbitMq::start().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let broker = (Ipv4Addr::LOCALHOST, node.port());
    // More than the first try waits.
    let accept = async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                sleep(Duration::from_secs(3)).await;
                let mut server = TcpStream::connect(broker).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    };
    let accepting = tokio::spawn(accept);
    let bus = connect(&format!("amqp://127.0.0.1:{}/%2f", address.port()));
    let mut queue = subscribe(&bus).await;
    publish_until_confirmed(&bus, 1).await;
    assert_eq!(take(&mut queue, 1).await[0].message.id, "1");
    accepting.abort();
}

// A command of the broker blocks this thread for seconds on a busy machine: the bus needs another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
        assert!(matches!(published, Err(BusError::Blocked)), "{published:?}");
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

// A command of the broker blocks this thread for seconds on a busy machine: the bus needs another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
async fn an_unusable_url_is_an_error_at_once_and_is_not_repeated() {
    let url = SecretString::from("http://guest:hunter2@localhost/");
    let config = AmqpConfig { url, ..config("") };
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(AmqpBus::new(&config).err(), Some(InvalidAmqpUrl));
}
