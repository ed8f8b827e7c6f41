//! An in-process bus that fails on demand, for the unit tests of the actors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use shared::bus::{Bus, BusError, BusStatus, InProcessBus, Outgoing, QueueSpec, Subscription};

/// What a bus is asked to do.
pub(super) enum Call<'a> {
    Publish(&'a [Outgoing]),
    Subscribe(&'a QueueSpec),
}

/// What the bus does with a call.
pub(super) enum Trouble {
    No,
    Unreachable,
    Panic,
}

/// An in-process bus behind a function that decides what happens to each call.
pub(super) struct TestBus<F> {
    inside: InProcessBus,
    judge: F,
}

impl<F: Fn(Call<'_>) -> Trouble + Send + Sync + 'static> TestBus<F> {
    pub(super) fn new(judge: F) -> Arc<Self> {
        Arc::new(Self { inside: InProcessBus::new(), judge })
    }

    fn judge(&self, call: Call<'_>) -> Result<(), BusError> {
        match (self.judge)(call) {
            Trouble::No => Ok(()),
            Trouble::Unreachable => Err(BusError::Unreachable("as the test wants it".into())),
            Trouble::Panic => panic!("as the test wants it"),
        }
    }
}

impl<F: Fn(Call<'_>) -> Trouble + Send + Sync + 'static> Bus for TestBus<F> {
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            self.judge(Call::Publish(&batch))?;
            self.inside.publish(batch).await
        })
    }

    fn publish_mandatory(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        Box::pin(async move {
            self.judge(Call::Publish(std::slice::from_ref(&outgoing)))?;
            self.inside.publish_mandatory(outgoing).await
        })
    }

    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        Box::pin(async move {
            self.judge(Call::Subscribe(&queue))?;
            self.inside.subscribe(queue).await
        })
    }

    fn status(&self) -> BusStatus {
        BusStatus::Connected
    }
}

/// Panics at the first call of which `is_it` is true.
pub(super) fn panics_once(
    is_it: impl Fn(&Call<'_>) -> bool + Send + Sync + 'static,
) -> impl Fn(Call<'_>) -> Trouble + Send + Sync + 'static {
    let has_panicked = AtomicBool::new(false);
    move |call| {
        let is_first = is_it(&call) && !has_panicked.swap(true, Ordering::Relaxed);
        if is_first { Trouble::Panic } else { Trouble::No }
    }
}
