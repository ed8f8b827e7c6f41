//! Records what the replicas send each other, and sends it again.

use std::time::Duration;

use contract::topology::TOKENS_EXCHANGE;
use futures_util::{FutureExt, StreamExt};
use shared::bus::{
    AmqpBus, AmqpConfig, Binding, Bus, Delivery, Destination, Outgoing, QueueLifetime, QueueSpec,
    Subscription,
};
use testkit::rabbitmq::RabbitMq;

use crate::random::Random;

const BOUND: Duration = Duration::from_secs(20);

/// Somebody at the broker who has no key.
pub(crate) struct Recorder {
    bus: AmqpBus,
    recorded: Subscription,
}

impl Recorder {
    /// Records from now on: records, heads and markers.
    pub(crate) async fn start(broker: &RabbitMq) -> Self {
        let bus = AmqpBus::new(&AmqpConfig {
            url: broker.url().into(),
            connection_name: "recorder".to_owned(),
            confirm_timeout: BOUND,
            connect_timeout: BOUND,
        });
        let bus = bus.unwrap();
        let queue = QueueSpec {
            name: "test.recorder".to_owned(),
            lifetime: QueueLifetime::Transient,
            bindings: vec![Binding { exchange: TOKENS_EXCHANGE.into(), routing_key: "#".into() }],
            prefetch: u16::MAX,
        };
        let recorded = bus.subscribe(queue).await.unwrap();
        Self { bus, recorded }
    }

    /// Everything comes again, twice and in another order. Returns how much it was.
    pub(crate) async fn replay(mut self, random: &mut Random) -> usize {
        let mut again = Vec::new();
        while let Some(Some(delivery)) = self.recorded.next().now_or_never() {
            let outgoing = as_it_came(delivery);
            again.extend([outgoing.clone(), outgoing]);
        }
        random.shuffle(&mut again);
        let count = again.len();
        self.bus.publish(again).await.unwrap();
        count
    }
}

/// Under the routing key that it came with, which its MAC covers.
fn as_it_came(Delivery { message, routing_key, .. }: Delivery) -> Outgoing {
    let exchange = TOKENS_EXCHANGE.to_owned();
    Outgoing { to: Destination::Topic { exchange, routing_key }, message }
}
