//! The exchanges and queues, and how messages flow between them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::super::{Binding, BusError, Destination, Outgoing, QueueLifetime, QueueSpec, topic};
use super::queue::{Consumer, Queue, Routed};
use super::{Subscribed, SubscriptionId};

/// The whole state of the bus. Exchanges are not stored: they exist only as names in bindings.
#[derive(Default)]
pub(super) struct Broker {
    /// By name.
    queues: HashMap<String, Queue>,
    /// By exchange: its bindings and the queue that each feeds. They are few, so a linear search is
    /// enough.
    bindings: BTreeMap<String, HashSet<(String, String)>>,
    /// The queue of each living subscription.
    subscriptions: HashMap<SubscriptionId, String>,
    last_subscription: SubscriptionId,
}

impl Broker {
    /// Puts a copy into each queue with a matching binding. Returns whether there was one.
    pub(super) fn route(&mut self, Outgoing { to, message }: Outgoing) -> bool {
        let (wanting, routing_key) = match to {
            Destination::Topic { exchange, routing_key } => {
                (self.queues_wanting(&exchange, &routing_key), routing_key)
            }
            Destination::Queue(name) => (HashSet::from([name.clone()]), name),
        };
        let routed = Arc::new(Routed { message, routing_key });
        let mut is_taken = false;
        for queue in wanting {
            is_taken |= self.push(&queue, Arc::clone(&routed));
        }
        is_taken
    }

    /// A queue that several bindings feed gets one copy.
    fn queues_wanting(&self, exchange: &str, routing_key: &str) -> HashSet<String> {
        self.bindings
            .get(exchange)
            .into_iter()
            .flatten()
            .filter(|(pattern, _)| topic::takes(pattern, routing_key))
            .map(|(_, queue)| queue.clone())
            .collect()
    }

    /// Whether the queue exists.
    fn push(&mut self, queue: &str, routed: Arc<Routed>) -> bool {
        let Some(queue) = self.queues.get_mut(queue) else { return false };
        queue.push(routed);
        true
    }

    /// Creates the queue if it does not exist, and adds the bindings.
    pub(super) fn declare(&mut self, spec: QueueSpec) -> Result<&mut Queue, BusError> {
        let QueueSpec { name, lifetime, bindings, .. } = spec;
        let queue = self.queues.entry(name.clone()).or_insert_with(|| Queue::new(&name, lifetime));
        queue.check(lifetime).map_err(|said| BusError::Refused(said.into()))?;
        for Binding { exchange, routing_key } in bindings {
            self.bindings.entry(exchange).or_default().insert((routing_key, name.clone()));
        }
        Ok(queue)
    }

    /// Declares the queue and starts to deliver.
    pub(super) fn subscribe(&mut self, spec: QueueSpec) -> Result<Subscribed, BusError> {
        let (name, prefetch) = (spec.name.clone(), spec.prefetch);
        self.last_subscription += 1;
        let id = self.last_subscription;
        let (sender, deliveries) = mpsc::unbounded_channel();
        self.declare(spec)?.attach(Consumer::new(id, prefetch, sender));
        self.subscriptions.insert(id, name);
        Ok(Subscribed { id, deliveries })
    }

    /// Whether this subscription still exists.
    pub(super) fn acknowledge_through(&mut self, id: SubscriptionId, tag: u64) -> bool {
        let Some(name) = self.subscriptions.get(&id) else { return false };
        if let Some(queue) = self.queues.get_mut(name) {
            queue.acknowledge_through(id, tag);
        }
        true
    }

    /// Returns unacknowledged messages to the queue; a transient queue is deleted instead.
    pub(super) fn unsubscribe(&mut self, id: SubscriptionId) {
        let Some(name) = self.subscriptions.remove(&id) else { return };
        let Some(queue) = self.queues.get_mut(&name) else { return };
        if queue.lifetime() == QueueLifetime::Transient {
            self.queues.remove(&name);
            for of_exchange in self.bindings.values_mut() {
                of_exchange.retain(|(_, queue)| *queue != name);
            }
        } else {
            queue.detach(id);
        }
    }
}
