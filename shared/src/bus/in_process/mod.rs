//! The bus inside one process: nothing to install, nothing on disk.
//!
//! One task owns all exchanges and queues; all callers send it messages. It lives as long as the
//! runtime in which the bus was made, or until the last handle is dropped.

mod broker;
mod queue;

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream};
use tokio::sync::{mpsc, oneshot};

use self::broker::Broker;
use super::{Acknowledge, Bus, BusError, BusStatus, Delivery, Outgoing, QueueSpec, Subscription};

/// Topic exchanges and queues in memory.
///
/// A queue holds up to 100,000 messages and then drops its oldest. Durable queues stay for the
/// life of the process: `expires` is for brokers that outlive their clients.
#[derive(Clone, Debug)]
pub struct InProcessBus {
    /// Unbounded, because dropping a subscription cannot wait. All other requests wait for their
    /// reply, so at most one per caller is queued.
    requests: mpsc::UnboundedSender<Request>,
}

/// A request to the task.
enum Request {
    Publish { batch: Vec<Outgoing>, done: oneshot::Sender<bool> },
    Declare { queue: QueueSpec, reply: oneshot::Sender<Result<(), BusError>> },
    Subscribe { queue: QueueSpec, reply: oneshot::Sender<Result<Subscribed, BusError>> },
    Acknowledge { subscription: SubscriptionId, tag: u64, reply: oneshot::Sender<bool> },
    Unsubscribe(SubscriptionId),
}

/// The id of one subscription of this bus, never reused.
type SubscriptionId = u64;

/// The parts of a new subscription.
struct Subscribed {
    id: SubscriptionId,
    /// Unbounded: the prefetch is the bound.
    deliveries: mpsc::UnboundedReceiver<Delivery>,
}

impl InProcessBus {
    /// Starts the task. Must be called inside a tokio runtime, the one that lives longest.
    #[expect(clippy::new_without_default, reason = "it starts a task: too much for a default")]
    pub fn new() -> Self {
        let (requests, inbox) = mpsc::unbounded_channel();
        tokio::spawn(serve(inbox));
        Self { requests }
    }

    /// Returns whether each message reached a queue.
    async fn send(&self, batch: Vec<Outgoing>) -> Result<bool, BusError> {
        let (done, reply) = oneshot::channel();
        self.ask(Request::Publish { batch, done }, reply).await
    }

    /// Sends the request and waits for its reply.
    async fn ask<T>(&self, request: Request, reply: oneshot::Receiver<T>) -> Result<T, BusError> {
        self.requests.send(request).map_err(|_| BusError::Closed)?;
        reply.await.map_err(|_| BusError::Closed)
    }
}

impl Bus for InProcessBus {
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        async move { self.send(batch).await.map(drop) }.boxed()
    }

    fn publish_mandatory(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        self.send(vec![outgoing]).boxed()
    }

    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        async move {
            let (reply, answer) = oneshot::channel();
            let subscribed = self.ask(Request::Subscribe { queue, reply }, answer).await??;
            let deliveries = Deliveries { subscribed, requests: self.requests.clone() };
            let acknowledger =
                Acknowledger { subscription: deliveries.subscribed.id, bus: self.clone() };
            Ok(Subscription::new(deliveries, acknowledger))
        }
        .boxed()
    }

    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), BusError>> {
        async move {
            let (reply, answer) = oneshot::channel();
            self.ask(Request::Declare { queue, reply }, answer).await?
        }
        .boxed()
    }

    fn status(&self) -> BusStatus {
        if self.requests.is_closed() {
            BusStatus::Down { cause: BusError::Closed.cause() }
        } else {
            BusStatus::Connected
        }
    }

    fn reaches_other_processes(&self) -> bool {
        false
    }
}

/// The task. Replies are best effort, because a caller may have gone away.
async fn serve(mut inbox: mpsc::UnboundedReceiver<Request>) {
    let mut broker = Broker::default();
    while let Some(request) = inbox.recv().await {
        match request {
            Request::Publish { batch, done } => {
                let mut all_taken = true;
                for outgoing in batch {
                    all_taken &= broker.route(outgoing);
                }
                let _ = done.send(all_taken);
            }
            Request::Declare { queue, reply } => {
                let _ = reply.send(broker.declare(queue).map(drop));
            }
            Request::Subscribe { queue, reply } => {
                if let Err(Ok(abandoned)) = reply.send(broker.subscribe(queue)) {
                    broker.unsubscribe(abandoned.id);
                }
            }
            Request::Acknowledge { subscription, tag, reply } => {
                let _ = reply.send(broker.acknowledge_through(subscription, tag));
            }
            Request::Unsubscribe(subscription) => broker.unsubscribe(subscription),
        }
    }
}

/// The stream's half of a subscription.
struct Deliveries {
    subscribed: Subscribed,
    requests: mpsc::UnboundedSender<Request>,
}

impl Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.subscribed.deliveries.poll_recv(context)
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        // If the task has ended, so have the queues.
        let _ = self.requests.send(Request::Unsubscribe(self.subscribed.id));
    }
}

/// The acknowledging half of a subscription.
struct Acknowledger {
    subscription: SubscriptionId,
    bus: InProcessBus,
}

impl Acknowledge for Acknowledger {
    fn acknowledge_through(&self, tag: u64) -> BoxFuture<'_, Result<(), BusError>> {
        async move {
            let (reply, answer) = oneshot::channel();
            let subscription = self.subscription;
            let request = Request::Acknowledge { subscription, tag, reply };
            let is_alive = self.bus.ask(request, answer).await?;
            is_alive
                .then_some(())
                .ok_or_else(|| BusError::Unreachable("the subscription has ended".into()))
        }
        .boxed()
    }
}
