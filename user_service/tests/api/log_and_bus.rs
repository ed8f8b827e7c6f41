use std::sync::Arc;
use std::time::Duration;

use contract::event::header;
use contract::topology::{ALL_USER_EVENTS, USERS_EXCHANGE};
use contract::{Cursor, Position, SyncRequest, UserChange};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use shared::bus::cloud_event::Codec;
use shared::bus::{
    Binding, Bus, BusError, BusStatus, InProcessBus, Outgoing, QueueLifetime, QueueSpec,
    Subscription,
};
use shared::log_sync::follows;
use shared::secrets::SealingKeys;
use testkit::wait::{until, within};

use crate::test_app::{Setup, TestApp, records};

/// A broker that is never there.
struct NoBroker;

impl Bus for NoBroker {
    fn publish(&self, _: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async { Err(BusError::Unreachable("no broker".into())) })
    }
    fn publish_mandatory(&self, _: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        Box::pin(async { Err(BusError::Unreachable("no broker".into())) })
    }

    fn subscribe(&self, _: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        Box::pin(async { Err(BusError::Unreachable("no broker".into())) })
    }
    fn status(&self) -> BusStatus {
        BusStatus::Down { cause: "broker unreachable".to_owned() }
    }
}

async fn follow(bus: &dyn Bus) -> Subscription {
    let exchange = USERS_EXCHANGE.into();
    let binding = Binding { exchange, routing_key: ALL_USER_EVENTS.into() };
    bus.subscribe(QueueSpec {
        name: "follower".into(),
        lifetime: QueueLifetime::Transient,
        bindings: vec![binding],
        prefetch: 100,
    })
    .await
    .unwrap()
}

#[actix_web::test]
async fn after_successes_and_failures_the_log_is_dense_and_chained() {
    let app = TestApp::start().await;
    let names: Vec<String> = (0..20).map(|n| format!("user{}", n % 12)).collect();
    let bodies: Vec<_> =
        names.iter().map(|name| json!({"username": name, "password": "testpassword"})).collect();
    join_all(bodies.iter().map(|body| app.post(body))).await;
    let renames: Vec<_> = (1..=12).map(|n| json!({"username": format!("user{}", n % 5)})).collect();
    join_all((1..).zip(&renames).map(|(id, body)| app.put(id, body))).await;
    join_all((1..=14).map(|id| app.delete(id))).await;
    let mut position = Position::default();
    for record in app.records() {
        assert!(follows(position, &record), "{record:?} after {position:?}");
        position = record.position;
    }
    assert!(position.seq >= 24, "twelve created, twelve deleted: {}", position.seq);
    assert_eq!(app.get("/users").await.text, "[]");
    app.stop().await;
}

#[actix_web::test]
async fn a_change_reaches_whoever_follows_the_bus_and_shows_no_hash() {
    let bus = Arc::new(InProcessBus::new());
    let mut events = follow(&*bus).await;
    let app = Setup { bus, ..Setup::default() }.start().await;
    app.create("anna").await;
    let delivery = within("the event", Duration::from_secs(10), events.next()).await.unwrap();
    assert_eq!(delivery.routing_key, "user.created");
    let message = delivery.message;
    let change: UserChange = serde_json::from_slice(&message.body).unwrap();
    assert_eq!((change.id.0, change.user.unwrap().username.as_str()), (1, "anna"));
    assert!(message.headers.contains_key(header::SEALED_HASH));
    assert!(!format!("{message:?}").contains("argon2"));
    app.stop().await;
}

#[actix_web::test]
async fn without_a_broker_everything_goes_on() {
    let app = Setup { bus: Arc::new(NoBroker), ..Setup::default() }.start().await;
    app.create("anna").await;
    assert_eq!(app.put(1, &json!({"username": "bert"})).await.status, 200);
    let ready = app.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["degraded"]), (200, &json!(["broker unreachable"])));
    let metric = async |name: &str| -> f64 {
        let metrics = app.get("/metrics").await.text;
        let value = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        value.unwrap_or_else(|| panic!("{name} is not in {metrics}")).parse().unwrap()
    };
    // The log's end is told after the answer to the write.
    until("the lag is what was created and renamed", Duration::from_secs(10), async || {
        ((metric("lockstep_user_log_publish_lag_records").await - 2.0).abs() < 0.1).then_some(())
    })
    .await;
    until("the lag grows", Duration::from_secs(10), async || {
        (metric("lockstep_user_log_publish_lag_seconds").await > 0.5).then_some(())
    })
    .await;
    app.stop().await;
}

#[actix_web::test]
async fn what_no_broker_took_is_published_after_the_next_start() {
    let app = Setup { bus: Arc::new(NoBroker), ..Setup::default() }.start().await;
    app.create("anna").await;
    let directory = app.stop().await;
    assert_eq!(records(directory.path()).len(), 1);
    let bus = Arc::new(InProcessBus::new());
    let mut events = follow(&*bus).await;
    let app = Setup { directory, bus, ..Setup::default() }.start().await;
    let delivery = within("the event", Duration::from_secs(10), events.next()).await.unwrap();
    assert_eq!(delivery.routing_key, "user.created");
    app.stop().await;
}

#[actix_web::test]
async fn a_follower_with_another_sealing_key_is_told_at_readyz_with_what_to_do() {
    let bus = InProcessBus::new();
    let app = Setup { bus: Arc::new(bus.clone()), ..Setup::default() }.start().await;
    let other = Arc::new(SealingKeys::parse(&SealingKeys::generate()).unwrap());
    let request = SyncRequest {
        nonce: "1".into(),
        reply_to: "follower".into(),
        cursor: Cursor::default(),
        snapshot: false,
        credit: None,
        highest_id: None,
    };
    let question = Codec::new(Arc::clone(&other)).encode_question(&request);
    until("the key is named", Duration::from_secs(10), async || {
        bus.publish(vec![question.clone()]).await.unwrap();
        let degraded = app.get("/readyz").await.json()["degraded"].to_string();
        let is_told = degraded.contains(other.first_id())
            && degraded.contains("give both services the same sealing keys");
        is_told.then_some(())
    })
    .await;
    let metrics = app.get("/metrics").await.text;
    assert!(!metrics.contains("lockstep_messages_with_foreign_key_total 0"), "{metrics}");
    app.stop().await;
}
