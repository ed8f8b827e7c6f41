use super::super::user_repository::test_repository::{TestRepository, create_as};
use super::*;
use contract::event::header;
use contract::topology::{HEAD_ROUTING_KEY, USERS_EXCHANGE};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use shared::actors::Health;
use shared::bus::{Binding, BusStatus, InProcessBus, QueueLifetime, QueueSpec, Subscription};
use shared::log_sync::Input;
use std::sync::atomic::{AtomicBool, Ordering};

/// A bus that is away until it is told otherwise.
struct UncertainBus {
    inside: InProcessBus,
    is_away: AtomicBool,
}

impl Bus for UncertainBus {
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        if self.is_away.load(Ordering::Relaxed) {
            return Box::pin(async { Err(BusError::Unreachable("away".into())) });
        }
        self.inside.publish(batch)
    }
    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        self.inside.subscribe(queue)
    }
    fn status(&self) -> BusStatus {
        BusStatus::Connected
    }
}

fn bus(is_away: bool) -> Arc<UncertainBus> {
    Arc::new(UncertainBus { inside: InProcessBus::new(), is_away: AtomicBool::new(is_away) })
}

async fn listen(bus: &UncertainBus, routing_key: &str) -> Subscription {
    let binding = Binding { exchange: USERS_EXCHANGE.into(), routing_key: routing_key.into() };
    let spec = QueueSpec {
        name: format!("test.{routing_key}"),
        lifetime: QueueLifetime::Transient,
        bindings: vec![binding],
        prefetch: 1000,
    };
    bus.subscribe(spec).await.unwrap()
}

async fn next_seq(events: &mut Subscription) -> i64 {
    let delivery = tokio::time::timeout(Duration::from_secs(10), events.next());
    delivery.await.unwrap().unwrap().message.headers[header::SEQUENCE].parse().unwrap()
}

fn publisher(repository: &TestRepository, bus: Arc<UncertainBus>) -> Mailbox<EventPublisher> {
    let (addr, head) = (repository.addr.clone(), repository.head.clone());
    let key = Arc::clone(&repository.key);
    let publisher = EventPublisher::new(bus, &repository.pool, addr, head, key).unwrap();
    Mailbox::start(&Health::default(), 1, |_| publisher)
}

#[actix::test]
async fn what_was_committed_is_published_in_its_order() {
    let (repository, bus) = (TestRepository::start(), bus(false));
    let mut events = listen(&bus, "user.*").await;
    publisher(&repository, bus);
    for (seq, name) in (1..).zip(["anna", "bert", "carl"]) {
        create_as(&repository, name).await;
        assert_eq!(next_seq(&mut events).await, seq);
    }
}

#[actix::test]
async fn a_burst_ends_with_the_logs_end() {
    let (repository, bus) = (TestRepository::start(), bus(false));
    create_as(&repository, "anna").await;
    let mut heads = listen(&bus, HEAD_ROUTING_KEY).await;
    publisher(&repository, bus);
    let delivery = heads.next().await.unwrap();
    let decoded = Codec::new(Arc::clone(&repository.key)).decode_control(&delivery).unwrap();
    assert_eq!(decoded.input, Input::Head(*repository.head.borrow()));
}

#[actix::test]
async fn what_was_committed_while_the_bus_was_away_is_published_when_it_is_back() {
    let (repository, bus) = (TestRepository::start(), bus(true));
    let mut events = listen(&bus, "user.*").await;
    publisher(&repository, bus.clone());
    create_as(&repository, "anna").await;
    create_as(&repository, "bert").await;
    bus.is_away.store(false, Ordering::Relaxed);
    assert_eq!([next_seq(&mut events).await, next_seq(&mut events).await], [1, 2]);
}

#[actix::test]
async fn a_stop_publishes_what_is_there_and_records_the_place() {
    let (repository, bus) = (TestRepository::start(), bus(false));
    let mut events = listen(&bus, "user.*").await;
    let stopped = publisher(&repository, bus.clone());
    create_as(&repository, "anna").await;
    ask(&stopped, FlushAndStop).await.unwrap();
    assert_eq!(next_seq(&mut events).await, 1);
    assert_eq!(store::published::read(&repository.pool.get().unwrap()).unwrap(), 1);
    create_as(&repository, "bert").await;
    publisher(&repository, bus);
    assert_eq!(next_seq(&mut events).await, 2, "the first one does not come again");
}

#[actix::test]
async fn a_stop_without_the_bus_ends() {
    let (repository, bus) = (TestRepository::start(), bus(true));
    let stopped = publisher(&repository, bus);
    create_as(&repository, "anna").await;
    ask(&stopped, FlushAndStop).await.unwrap();
    assert_eq!(store::published::read(&repository.pool.get().unwrap()).unwrap(), 0);
}
