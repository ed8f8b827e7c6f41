//! What the replicas told each other comes again, while what is new is withheld: somebody at the broker
//! without the key can do both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contract::topology::{TOKEN_RECORDS, TOKEN_SET_HEADS, TOKENS_EXCHANGE};
use futures_util::future::{BoxFuture, ready};
use futures_util::{FutureExt, StreamExt};
use shared::bus::{
    Acknowledge, Binding, Bus, BusError, BusStatus, Delivery, Destination, Outgoing, QueueLifetime,
    QueueSpec, Subscription,
};
use testkit::wait::{until, within};

use crate::replicas::{Network, until_ready};
use crate::test_app::{BOUND, TestApp};

/// How often old heads come, between two questions whether they hid the logout. At most every 50 ms a
/// replica tells its own.
const OFTEN: Duration = Duration::from_millis(10);
const REPETITIONS: usize = 10;

/// Records that come while it says so are lost.
struct Withholding {
    network: Network,
    is_on: Arc<AtomicBool>,
}

impl Bus for Withholding {
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        self.network.publish(batch)
    }

    fn publish_mandatory(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        self.network.publish_mandatory(outgoing)
    }

    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        async move {
            let (deliveries, acknowledger) = self.network.subscribe(queue).await?.split();
            let is_on = Arc::clone(&self.is_on);
            let come = deliveries.filter(move |delivery| {
                let is_record = delivery.routing_key == TOKEN_RECORDS;
                ready(!(is_record && is_on.load(Ordering::Relaxed)))
            });
            Ok(Subscription::new(come, Inner(acknowledger)))
        }
        .boxed()
    }

    fn status(&self) -> BusStatus {
        self.network.status()
    }
}

/// What was lost is acknowledged with what comes after it.
struct Inner(Box<dyn Acknowledge>);

impl Acknowledge for Inner {
    fn acknowledge_through(&self, tag: u64) -> BoxFuture<'_, Result<(), BusError>> {
        self.0.acknowledge_through(tag)
    }
}

/// Heads, as they came. None of them asks for others: the first ones of a session do.
async fn record_heads(app: &TestApp) -> Vec<Outgoing> {
    let queue = QueueSpec {
        name: "test.heads".to_owned(),
        lifetime: QueueLifetime::Transient,
        bindings: vec![Binding {
            exchange: TOKENS_EXCHANGE.into(),
            routing_key: TOKEN_SET_HEADS.into(),
        }],
        prefetch: 10,
    };
    let heads = app.bus.subscribe(queue).await.unwrap();
    let as_it_came = |Delivery { message, routing_key, .. }: Delivery| {
        let exchange = TOKENS_EXCHANGE.to_owned();
        Outgoing { to: Destination::Topic { exchange, routing_key }, message }
    };
    within("heads", BOUND, heads.skip(2).take(2).map(as_it_came).collect()).await
}

#[actix_web::test]
async fn an_old_head_that_comes_again_hides_no_logout() {
    let one = TestApp::start().await;
    one.users.create("testuser", "testpassword");
    one.bring().await;
    let network = Arc::new(Network(one.bus.clone()));
    let one = one.restart_on(network, |_| {}).await;
    until_ready(&one).await;
    // Nobody else is there yet: these are of the first one alone.
    let old = record_heads(&one).await;
    let is_on = Arc::new(AtomicBool::new(false));
    let network = Network(one.bus.clone());
    let withholding = Arc::new(Withholding { network, is_on: Arc::clone(&is_on) });
    let two = TestApp::start_replica(&one, "2", withholding).await;
    for app in [&one, &two] {
        until_ready(app).await;
        app.until_applied().await;
    }
    let token = one.login("testuser", "testpassword").await.token();
    until("the key is known", BOUND, async || {
        (two.verify(&token).await.status == 200).then_some(())
    })
    .await;
    is_on.store(true, Ordering::Relaxed);
    assert_eq!(one.logout(&token).await.status, 200);
    assert_eq!(two.verify(&token).await.status, 200, "its record is withheld");
    until("the logout is fetched", BOUND, async || {
        // More often than a replica tells its head.
        for _ in 0..REPETITIONS {
            one.bus.publish(old.clone()).await.unwrap();
            tokio::time::sleep(OFTEN).await;
        }
        (two.verify(&token).await.status == 401).then_some(())
    })
    .await;
    one.stop().await;
    two.stop().await;
}
