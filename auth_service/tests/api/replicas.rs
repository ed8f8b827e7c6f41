//! Two replicas on one bus, and one that is cut off. With RabbitMQ between processes:
//! `standalone/tests/end_to_end/replicas.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contract::token_record::{KeyId, TokenId, TokenLife};
use contract::topology::{TOKEN_RECORDS, TOKEN_SET_HEADS, TOKENS_EXCHANGE};
use contract::{ReplicaId, TokenRecord, TokenRecords};
use data_encoding::BASE64URL_NOPAD;
use futures_util::future::BoxFuture;
use serde_json::Value;
use shared::bus::cloud_event::Codec;
use shared::bus::{
    Bus, BusError, BusStatus, Destination, InProcessBus, Message, Outgoing, QueueSpec, Subscription,
};
use shared::clock::Clock;
use shared::secrets::SealingKeys;
use testkit::wait::until;

use crate::faults::Unreachable;
use crate::test_app::{BOUND, TestApp};

/// The in-process bus, as if other processes were on it.
pub(crate) struct Network(pub(crate) InProcessBus);

impl Bus for Network {
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        self.0.publish(batch)
    }

    fn publish_mandatory(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        self.0.publish_mandatory(outgoing)
    }

    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        self.0.subscribe(queue)
    }

    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), BusError>> {
        self.0.declare(queue)
    }

    fn status(&self) -> BusStatus {
        self.0.status()
    }
}

/// Heads that are told while it says so are lost.
struct Mute {
    network: Network,
    is_on: Arc<AtomicBool>,
}

impl Bus for Mute {
    fn publish(&self, mut batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        if self.is_on.load(Ordering::Relaxed) {
            batch.retain(|outgoing| !is_head(outgoing));
        }
        self.network.publish(batch)
    }

    fn publish_mandatory(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        self.network.publish_mandatory(outgoing)
    }

    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        self.network.subscribe(queue)
    }

    fn status(&self) -> BusStatus {
        self.network.status()
    }
}

fn is_head(outgoing: &Outgoing) -> bool {
    matches!(&outgoing.to, Destination::Topic { routing_key, .. } if routing_key == TOKEN_SET_HEADS)
}

/// The header of a token, or its claims.
fn part_of(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

pub(crate) async fn until_ready(app: &TestApp) {
    until("it is ready", BOUND, async || (app.get("/readyz").await.status == 200).then_some(()))
        .await;
}

/// Two replicas with a user.
async fn two() -> (TestApp, TestApp) {
    let one = TestApp::start().await;
    one.users.create("testuser", "testpassword");
    one.bring().await;
    let network = Arc::new(Network(one.bus.clone()));
    let one = one.restart_on(network.clone(), |_| {}).await;
    let two = TestApp::start_replica(&one, "2", network).await;
    for app in [&one, &two] {
        until_ready(app).await;
        app.until_applied().await;
    }
    (one, two)
}

#[actix_web::test]
async fn what_ends_at_one_replica_ends_at_the_other() {
    let (one, two) = two().await;
    let token = one.login("testuser", "testpassword").await.token();
    assert!(two.is_alive(&token).await);
    assert_eq!(two.logout(&token).await.status, 200);
    until("it is dead at the first, too", BOUND, async || {
        (one.verify(&token).await.status == 401).then_some(())
    })
    .await;
    assert_eq!(two.metric("lockstep_auth_replicas").await, 1);
    assert_eq!(two.metric("lockstep_logouts_unconfirmed_total").await, 0);
    // The other goes away: it is missed.
    one.stop().await;
    until("it is missed", BOUND, async || {
        let ready = two.get("/readyz").await;
        let degraded = ready.json()["degraded"].to_string();
        (ready.status == 200 && degraded.contains("are silent")).then_some(())
    })
    .await;
    two.stop().await;
}

#[actix_web::test]
async fn one_that_is_there_and_silent_is_waited_for() {
    let one = TestApp::start().await;
    one.users.create("testuser", "testpassword");
    one.bring().await;
    let is_on = Arc::new(AtomicBool::new(false));
    let mute = Mute { network: Network(one.bus.clone()), is_on: Arc::clone(&is_on) };
    let one = one.restart_on(Arc::new(mute), |_| {}).await;
    until_ready(&one).await;
    is_on.store(true, Ordering::Relaxed);
    let network = Arc::new(Network(one.bus.clone()));
    let two = TestApp::start_replica(&one, "2", network).await;
    two.until_applied().await;
    // Longer than one has that may come, and half as long as one that is there.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let ready = two.get("/readyz").await;
    assert_eq!(ready.status, 503, "{:?}", ready.json());
    is_on.store(false, Ordering::Relaxed);
    until_ready(&two).await;
    assert_eq!(two.metric("lockstep_auth_replicas").await, 1);
    one.stop().await;
    two.stop().await;
}

#[actix_web::test]
async fn a_record_of_somebody_without_the_sealing_key_ends_nothing() {
    let (one, two) = two().await;
    let token = one.login("testuser", "testpassword").await.token();
    let (header, claims) = (part_of(&token, 0), part_of(&token, 1));
    let kid = KeyId::parse(header["kid"].as_str().unwrap()).unwrap();
    let sid = TokenId::parse(claims["sid"].as_str().unwrap()).unwrap();
    let ended_with = TokenLife { kid, exp_s: claims["exp"].as_i64().unwrap() };
    let record = TokenRecord::SessionRevoked { sid, ended_with };
    let records = TokenRecords { from: ReplicaId([9; 16]), records: vec![record] };
    let theirs = SealingKeys::parse(&SealingKeys::generate()).unwrap();
    let forged = Codec::new(Arc::new(theirs)).encode_token_records(&records);
    let raw = Outgoing {
        to: Destination::Topic {
            exchange: TOKENS_EXCHANGE.to_owned(),
            routing_key: TOKEN_RECORDS.to_owned(),
        },
        message: Message { body: "x".into(), ..Message::default() },
    };
    one.bus.publish(vec![forged, raw]).await.unwrap();
    for app in [&one, &two] {
        until("both are dead letters", BOUND, async || {
            (app.metric("lockstep_dead_letters_total").await == 2).then_some(())
        })
        .await;
        assert!(app.is_alive(&token).await);
    }
    // The same record of somebody with the key does.
    let keys = std::fs::read_to_string(one.dir.path().join("sealing.key")).unwrap();
    let ours = Codec::new(Arc::new(SealingKeys::parse(keys.trim()).unwrap()));
    one.bus.publish(vec![ours.encode_token_records(&records)]).await.unwrap();
    for app in [&one, &two] {
        until("it is dead", BOUND, async || (!app.is_alive(&token).await).then_some(())).await;
        assert!(app.metric("lockstep_token_records_merged_total").await >= 1);
    }
    one.stop().await;
    two.stop().await;
}

#[actix_web::test]
async fn a_logout_without_a_confirm_is_answered_with_503_if_the_settings_want_one() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    let app = app.restart_with(&["--logout-acks", "1"], Arc::new(Unreachable), |_| {}).await;
    until_ready(&app).await;
    let key = [("idempotency-key", "one")];
    for _ in 0..2 {
        let answer = app.logout_with(&token, &key).await;
        assert_eq!((answer.status, &*answer.problem()), (503, "logout-not-confirmed"));
        assert!(answer.header("retry-after").is_some());
        assert_eq!(app.verify(&token).await.status, 401, "it has ended here");
    }
    assert_eq!(app.metric("lockstep_logouts_unconfirmed_total").await, 2);
    let bus = Arc::new(app.bus.clone());
    let app = app.restart_with(&["--logout-acks", "1"], bus, |_| {}).await;
    until("the bus has it", BOUND, async || {
        (app.logout_with(&token, &key).await.status == 200).then_some(())
    })
    .await;
    app.stop().await;
}

#[actix_web::test]
async fn who_is_cut_off_for_long_vouches_for_no_token_if_the_settings_say_so() {
    let clock = Clock::manual(1_700_000_000_000);
    let app = TestApp::start_with(&[], clock.clone()).await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    let settings = ["--cut-off", "refuse", "--cut-off-limit", "1m"];
    let app = app.restart_with(&settings, Arc::new(Unreachable), |_| {}).await;
    until_ready(&app).await;
    assert_eq!(app.verify(&token).await.status, 200);
    clock.advance_ms(60_001);
    let refused = app.verify(&token).await;
    assert_eq!((refused.status, &*refused.problem()), (503, "not-yet-known"));
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status, 503, "{:?}", ready.json());
    let bus = Arc::new(app.bus.clone());
    let app = app.restart_on(bus, |_| {}).await;
    assert_eq!(app.verify(&token).await.status, 200);
    app.stop().await;
}
