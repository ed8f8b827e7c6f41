//! The two queues of a replica, read as one.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use shared::bus::{Binding, Bus, BusError, Delivery, QueueLifetime, QueueSpec, Subscription};
use shared::contract::topology::{
    ALL_USER_EVENTS, HEAD_ROUTING_KEY, USERS_EXCHANGE, projection_queue,
};
use shared::sync::Input;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::deliveries::{Undecodable, read_control, read_event};
use super::setback::Setback;

/// Deliveries that may be unacknowledged at once.
const PREFETCH: u16 = 1000;
/// How long a replica may be away without losing its queue; losing it costs a snapshot.
const EVENTS_EXPIRE: Duration = Duration::from_hours(7 * 24);
/// How long an answer may take before the question is repeated.
const WAITED_INTERVAL: Duration = Duration::from_secs(3);

/// What the follower is told next.
pub(super) enum Arrival {
    Event(Delivery),
    Control(Delivery),
    Waited,
}

impl Arrival {
    /// Reads it, or gives the delivery back with what is wrong with it.
    pub(super) fn read(self) -> Result<Input, Box<(Delivery, Undecodable)>> {
        let (outcome, delivery) = match self {
            Self::Event(delivery) => (read_event(&delivery.message), delivery),
            Self::Control(delivery) => (read_control(&delivery), delivery),
            Self::Waited => return Ok(Input::Waited),
        };
        outcome.map_err(|undecodable| Box::new((delivery, undecodable)))
    }
}

/// A subscription with the last tag that it gave and the last that was acknowledged.
struct Feed {
    subscription: Subscription,
    taken: u64,
    acknowledged: u64,
}

impl Feed {
    async fn open(bus: &dyn Bus, queue: QueueSpec) -> Result<Self, BusError> {
        let subscription = bus.subscribe(queue).await?;
        Ok(Self { subscription, taken: 0, acknowledged: 0 })
    }

    async fn next(&mut self) -> Result<Delivery, BusError> {
        let delivery = self.subscription.next().await;
        let delivery = delivery.ok_or(BusError::Unreachable("the subscription ended".into()))?;
        self.taken = delivery.tag;
        Ok(delivery)
    }

    async fn acknowledge(&mut self) -> Result<(), BusError> {
        if self.taken > self.acknowledged {
            self.subscription.acknowledge_through(self.taken).await?;
            self.acknowledged = self.taken;
        }
        Ok(())
    }
}

/// Both subscriptions; when one ends, drop both.
pub(super) struct Subscriptions {
    /// Every event of a user, since the replica was last here.
    events: Feed,
    /// Heads and answers.
    control: Feed,
    waited: Interval,
    /// `control.taken` when `waited` last ticked.
    heard: u64,
}

impl Subscriptions {
    pub(super) async fn open(
        bus: &dyn Bus,
        replica: &str,
        control_queue: &str,
    ) -> Result<Self, BusError> {
        // Control first: a head that tells of events must not be missed while these are bound.
        let control = QueueSpec {
            name: control_queue.to_owned(),
            lifetime: QueueLifetime::Transient,
            bindings: vec![from_users(HEAD_ROUTING_KEY)],
            prefetch: PREFETCH,
        };
        let events = QueueSpec {
            name: projection_queue(replica),
            lifetime: QueueLifetime::Durable { expires: EVENTS_EXPIRE },
            bindings: vec![from_users(ALL_USER_EVENTS)],
            prefetch: PREFETCH,
        };
        let mut waited = interval_at(Instant::now() + WAITED_INTERVAL, WAITED_INTERVAL);
        waited.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let control = Feed::open(bus, control).await?;
        Ok(Self { control, events: Feed::open(bus, events).await?, waited, heard: 0 })
    }

    /// Waits for one arrival, and takes with it what else is there already.
    pub(super) async fn next_batch(&mut self, max: usize) -> Result<Vec<Arrival>, Setback> {
        let mut batch = vec![self.next().await?];
        while batch.len() < max
            && let Some(ready) = self.next().now_or_never()
        {
            batch.push(ready?);
        }
        Ok(batch)
    }

    async fn next(&mut self) -> Result<Arrival, Setback> {
        tokio::select! {
            delivery = self.events.next() => Ok(Arrival::Event(delivery?)),
            delivery = self.control.next() => Ok(Arrival::Control(delivery?)),
            _ = self.waited.tick() => self.on_waited(),
        }
    }

    /// Heads come every second.
    fn on_waited(&mut self) -> Result<Arrival, Setback> {
        if std::mem::replace(&mut self.heard, self.control.taken) == self.control.taken {
            return Err(Setback::Silent);
        }
        Ok(Arrival::Waited)
    }

    /// Acknowledges everything that was taken.
    pub(super) async fn acknowledge(&mut self) -> Result<(), BusError> {
        self.events.acknowledge().await?;
        self.control.acknowledge().await
    }
}

fn from_users(routing_key: &str) -> Binding {
    Binding { exchange: USERS_EXCHANGE.into(), routing_key: routing_key.into() }
}
