//! One queue: its waiting messages, its consumers, and their unacknowledged messages.

use std::collections::{BTreeMap, VecDeque};
use std::mem::discriminant;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::super::{Delivery, Message, QueueLifetime};
use super::SubscriptionId;

/// How many messages may wait; beyond that the oldest are dropped. The protocol repairs such a
/// loss.
const CAPACITY: usize = 100_000;

/// A message in transit, shared by the queues that have a copy.
pub(super) struct Routed {
    pub(super) message: Message,
    pub(super) routing_key: String,
}

/// A message's place in its queue.
struct Place {
    routed: Arc<Routed>,
    was_delivered: bool,
}

/// Messages in order, and their consumers.
pub(super) struct Queue {
    name: String,
    lifetime: QueueLifetime,
    /// Sorted by arrival, so that a returned message gets its old place.
    waiting: BTreeMap<u64, Place>,
    arrivals: u64,
    /// If shared, the consumers take turns. Otherwise only the first is served.
    consumers: VecDeque<Consumer>,
    /// Messages dropped since the queue became full.
    dropped: u64,
}

impl Queue {
    pub(super) fn new(name: &str, lifetime: QueueLifetime) -> Self {
        Self {
            name: name.to_owned(),
            lifetime,
            waiting: BTreeMap::new(),
            arrivals: 0,
            consumers: VecDeque::new(),
            dropped: 0,
        }
    }

    pub(super) fn lifetime(&self) -> QueueLifetime {
        self.lifetime
    }

    /// Whether another consumer, which expects this lifetime, may subscribe.
    pub(super) fn check(&self, lifetime: QueueLifetime) -> Result<(), String> {
        let name = &self.name;
        if discriminant(&self.lifetime) != discriminant(&lifetime) {
            return Err(format!("queue {name} exists as {:?}, not {lifetime:?}", self.lifetime));
        }
        if lifetime == QueueLifetime::Transient && !self.consumers.is_empty() {
            return Err(format!("queue {name} belongs to another subscription"));
        }
        Ok(())
    }

    pub(super) fn attach(&mut self, consumer: Consumer) {
        self.consumers.push_back(consumer);
        self.deliver();
    }

    pub(super) fn detach(&mut self, id: SubscriptionId) {
        if let Some(index) = self.consumers.iter().position(|consumer| consumer.id == id)
            && let Some(consumer) = self.consumers.remove(index)
        {
            self.waiting.extend(consumer.unacknowledged.into_iter().map(Held::returned));
            self.deliver();
        }
    }

    pub(super) fn push(&mut self, routed: Arc<Routed>) {
        self.arrivals += 1;
        self.waiting.insert(self.arrivals, Place { routed, was_delivered: false });
        self.deliver();
        self.keep_within_capacity();
    }

    pub(super) fn acknowledge_through(&mut self, id: SubscriptionId, tag: u64) {
        if let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) {
            consumer.acknowledge_through(tag);
        }
        self.deliver();
    }

    /// Delivers the waiting messages, as far as the prefetches allow.
    fn deliver(&mut self) {
        while !self.waiting.is_empty() && self.bring_forward_who_has_room() {
            if let (Some(consumer), Some((arrival, place))) =
                (self.consumers.front_mut(), self.waiting.pop_first())
            {
                consumer.deliver(arrival, place);
            }
            if self.is_shared() {
                self.consumers.rotate_left(1);
            }
        }
    }

    fn is_shared(&self) -> bool {
        matches!(self.lifetime, QueueLifetime::Shared | QueueLifetime::Archive { .. })
    }

    /// Rotates the consumers until the first one has room.
    fn bring_forward_who_has_room(&mut self) -> bool {
        let served = if self.is_shared() { self.consumers.len() } else { 1 };
        match self.consumers.iter().take(served).position(Consumer::has_room) {
            Some(index) => {
                self.consumers.rotate_left(index);
                true
            }
            None => false,
        }
    }

    fn capacity(&self) -> usize {
        match self.lifetime {
            QueueLifetime::Archive { capacity } => {
                usize::try_from(capacity).unwrap_or(CAPACITY).min(CAPACITY)
            }
            _ => CAPACITY,
        }
    }

    fn keep_within_capacity(&mut self) {
        let capacity = self.capacity();
        if self.waiting.len() <= capacity {
            if self.dropped > 0 && self.waiting.len() < capacity {
                tracing::info!(
                    queue = self.name,
                    dropped = self.dropped,
                    "the queue has room again"
                );
                self.dropped = 0;
            }
            return;
        }
        if self.dropped == 0 {
            tracing::warn!(
                queue = self.name,
                capacity,
                "the queue is full and drops its oldest messages"
            );
        }
        self.waiting.pop_first();
        self.dropped += 1;
    }
}

/// One subscription, as its queue sees it.
pub(super) struct Consumer {
    id: SubscriptionId,
    prefetch: usize,
    deliveries: mpsc::UnboundedSender<Delivery>,
    /// In the order of their tags.
    unacknowledged: VecDeque<Held>,
    last_tag: u64,
}

/// A message that was delivered and not acknowledged.
struct Held {
    tag: u64,
    arrival: u64,
    routed: Arc<Routed>,
}

impl Held {
    fn returned(self) -> (u64, Place) {
        (self.arrival, Place { routed: self.routed, was_delivered: true })
    }
}

impl Consumer {
    pub(super) fn new(
        id: SubscriptionId,
        prefetch: u16,
        deliveries: mpsc::UnboundedSender<Delivery>,
    ) -> Self {
        let prefetch = usize::from(prefetch.max(1));
        Self { id, prefetch, deliveries, unacknowledged: VecDeque::new(), last_tag: 0 }
    }

    fn has_room(&self) -> bool {
        self.unacknowledged.len() < self.prefetch
    }

    fn deliver(&mut self, arrival: u64, Place { routed, was_delivered }: Place) {
        self.last_tag += 1;
        let tag = self.last_tag;
        let delivery = Delivery {
            message: routed.message.clone(),
            routing_key: routed.routing_key.clone(),
            is_redelivered: was_delivered,
            tag,
        };
        self.unacknowledged.push_back(Held { tag, arrival, routed });
        // If nobody listens any more, the subscription is about to be removed, which returns this
        // message.
        let _ = self.deliveries.send(delivery);
    }

    fn acknowledge_through(&mut self, tag: u64) {
        let acknowledged = self.unacknowledged.partition_point(|held| held.tag <= tag);
        self.unacknowledged.drain(..acknowledged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_its_oldest() {
        let mut queue = Queue::new("full", QueueLifetime::Shared);
        for n in 0..CAPACITY + 2 {
            let message = Message { id: n.to_string(), ..Message::default() };
            queue.push(Arc::new(Routed { message, routing_key: String::new() }));
        }
        let (sender, mut deliveries) = mpsc::unbounded_channel();
        queue.attach(Consumer::new(1, 1, sender));
        assert_eq!(deliveries.try_recv().unwrap().message.id, "2");
        assert_eq!(queue.waiting.len(), CAPACITY - 1);
    }
}
