use super::super::test_bus::{Call, TestBus, Trouble, panics_once};
use super::super::test_repository::{TestRepository, create_as};
use super::*;
use contract::event::header;
use contract::topology::{HEAD_ROUTING_KEY, USERS_EXCHANGE};
use futures_util::StreamExt;
use shared::actors::ask;
use shared::bus::{Binding, Message, QueueLifetime, QueueSpec, Subscription};
use shared::log_sync::Input;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use testkit::wait::{until, within};

const BOUND: Duration = Duration::from_secs(10);

/// A bus that is unreachable while the flag is true.
fn bus(is_away: &Arc<AtomicBool>) -> Arc<dyn Bus> {
    let is_away = Arc::clone(is_away);
    TestBus::new(move |call| match call {
        Call::Publish(_) if is_away.load(Ordering::Relaxed) => Trouble::Unreachable,
        _ => Trouble::No,
    })
}

fn reachable() -> Arc<dyn Bus> {
    bus(&Arc::default())
}

async fn listen(bus: &dyn Bus, routing_key: &str) -> Subscription {
    let binding = Binding { exchange: USERS_EXCHANGE.into(), routing_key: routing_key.into() };
    let spec = QueueSpec {
        name: format!("test.{routing_key}"),
        lifetime: QueueLifetime::Transient,
        bindings: vec![binding],
        prefetch: 1000,
    };
    bus.subscribe(spec).await.unwrap()
}

async fn next(messages: &mut Subscription) -> Message {
    within("a message", BOUND, messages.next()).await.unwrap().message
}

async fn next_seq(events: &mut Subscription) -> i64 {
    next(events).await.headers[header::SEQUENCE].parse().unwrap()
}

fn publisher(repository: &TestRepository, bus: &Arc<dyn Bus>) -> Mailbox<EventPublisher> {
    let (publisher, _) = EventPublisher::new(Publishing {
        bus: Arc::clone(bus),
        store: Arc::clone(&repository.store),
        repository: repository.mailbox.clone(),
        head: repository.head.clone(),
        sealing_key: Arc::clone(&repository.key),
        codec: Codec::new(Arc::clone(&repository.key)),
        clock: Clock::system(),
        health: repository.health.clone(),
        traces: Traces::default(),
    });
    Mailbox::start(&repository.health, 1, |_| publisher)
}

#[actix::test]
async fn what_was_committed_is_published_in_its_order() {
    let (repository, bus) = (TestRepository::start().await, reachable());
    let mut events = listen(&*bus, "user.*").await;
    let _publisher = publisher(&repository, &bus);
    for (seq, name) in (1..).zip(["anna", "bert", "carl"]) {
        create_as(&repository, name).await;
        assert_eq!(next_seq(&mut events).await, seq);
    }
}

#[actix::test]
async fn a_burst_ends_with_the_logs_end() {
    let (repository, bus) = (TestRepository::start().await, reachable());
    create_as(&repository, "anna").await;
    let mut heads = listen(&*bus, HEAD_ROUTING_KEY).await;
    let _publisher = publisher(&repository, &bus);
    let delivery = within("a head", BOUND, heads.next()).await.unwrap();
    let codec = Codec::new(Arc::clone(&repository.key));
    let input = codec.decode_control(&delivery).unwrap().input;
    assert_eq!(input, Input::Head(repository.head()));
}

#[actix::test]
async fn what_was_committed_while_the_bus_was_unreachable_is_published_when_it_is_back() {
    let is_away = Arc::new(AtomicBool::new(true));
    let (repository, bus) = (TestRepository::start().await, bus(&is_away));
    let mut events = listen(&*bus, "user.*").await;
    let _publisher = publisher(&repository, &bus);
    create_as(&repository, "anna").await;
    create_as(&repository, "bert").await;
    is_away.store(false, Ordering::Relaxed);
    assert_eq!([next_seq(&mut events).await, next_seq(&mut events).await], [1, 2]);
}

#[actix::test]
async fn a_batch_that_the_bus_does_not_take_is_halved_until_it_does() {
    let (repository, largest) = (TestRepository::start().await, Arc::new(AtomicUsize::new(0)));
    for n in 0..40 {
        create_as(&repository, &format!("user{n}")).await;
    }
    let seen = Arc::clone(&largest);
    let bus: Arc<dyn Bus> = TestBus::new(move |call| match call {
        Call::Publish(batch) if batch.len() > 9 => {
            seen.fetch_max(batch.len(), Ordering::Relaxed);
            Trouble::Unreachable
        }
        _ => Trouble::No,
    });
    let mut events = listen(&*bus, "user.*").await;
    let _publisher = publisher(&repository, &bus);
    for seq in 1..=40 {
        assert_eq!(next_seq(&mut events).await, seq);
    }
    assert_eq!(largest.load(Ordering::Relaxed), 41, "all of it, and the end, at first");
}

#[actix::test]
async fn a_stop_publishes_what_is_there_and_records_the_place() {
    let (repository, bus) = (TestRepository::start().await, reachable());
    let mut events = listen(&*bus, "user.*").await;
    let stopped = publisher(&repository, &bus);
    create_as(&repository, "anna").await;
    ask(&stopped, FlushAndStop).await.unwrap();
    assert_eq!(next_seq(&mut events).await, 1);
    assert_eq!(repository.published().await, 1);
    create_as(&repository, "bert").await;
    let _publisher = publisher(&repository, &bus);
    assert_eq!(next_seq(&mut events).await, 2, "the first one does not come again");
}

#[actix::test]
async fn a_stop_without_the_bus_ends() {
    let bus = bus(&Arc::new(AtomicBool::new(true)));
    let repository = TestRepository::start().await;
    let stopped = publisher(&repository, &bus);
    create_as(&repository, "anna").await;
    within("the end", BOUND, ask(&stopped, FlushAndStop)).await.unwrap();
    assert_eq!(repository.published().await, 0);
}

fn is_head(outgoing: &Outgoing) -> bool {
    outgoing.message.kind == "log.head.v1"
}

#[actix::test]
async fn after_a_panic_events_are_published_all_the_same() {
    let bus: Arc<dyn Bus> = TestBus::new(panics_once(
        |call| matches!(call, Call::Publish(batch) if !is_head(&batch[0])),
    ));
    let repository = TestRepository::start().await;
    create_as(&repository, "anna").await;
    let mut events = listen(&*bus, "user.*").await;
    let _publisher = publisher(&repository, &bus);
    assert_eq!(next_seq(&mut events).await, 1);
    let failed = "publishing events: panicked: as the test wants it";
    assert_eq!(repository.health.degraded(), [failed]);
}

#[actix::test]
async fn after_a_panic_the_logs_end_is_told_all_the_same() {
    let bus: Arc<dyn Bus> = TestBus::new(panics_once(
        |call| matches!(call, Call::Publish(batch) if is_head(&batch[0])),
    ));
    let repository = TestRepository::start().await;
    let mut heads = listen(&*bus, HEAD_ROUTING_KEY).await;
    let _publisher = publisher(&repository, &bus);
    next(&mut heads).await;
    let failed = "publishing heads: panicked: as the test wants it";
    until("it is shown", BOUND, async || (repository.health.degraded() == [failed]).then_some(()))
        .await;
}
