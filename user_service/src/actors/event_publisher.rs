//! Publishes the log to the bus.
//!
//! **Owns** the position in the log up to which the bus has confirmed events.
//!
//! **Promises** that every record is published at least once and in order, and that a `Head`
//! announces the end of the log after each burst and every second.
//!
//! **When full**: this cannot happen. Its only input is a hint that there are new records, and it
//! reads the log at its own pace. While the bus is unreachable, the log simply grows.
//!
//! **When it dies** the next start continues from the recorded position; followers drop duplicates.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use contract::Head;
use shared::actors::{Ask, AskError, Backoff, Command, Health, Mailbox, ask, supervise};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, BusError, Outgoing};
use shared::fail_point::fail_point;
use shared::secrets::SealingKeys;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::sealed_records::seal_record;
use super::user_repository::{RecordPublished, UserRepository};
use crate::store::{LogReader, Records, Store, StoreError};

/// The name of the loop that publishes, in the log and at `/readyz`.
const PUBLISHING: &str = "publishing events";
/// How many events are published at once while the bus keeps up.
const BATCH: u32 = 500;
/// How often it looks for records without a hint, and publishes a `Head`. It records its position
/// at most this often.
const PERIOD: Duration = Duration::from_secs(1);

/// "Publish what is there, and stop": answers when the position is recorded. If the bus is
/// unreachable, the publisher tries only once.
#[derive(Debug)]
pub struct FlushAndStop;

impl Command for FlushAndStop {
    type Reply = ();
}

/// How much of the log the bus has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The last record whose event the bus has confirmed.
    pub seq: i64,
    /// When the bus had last confirmed the whole log; initially, the time of the start.
    pub caught_up_at: Instant,
}

/// What the publisher works with.
pub struct Publishing {
    /// Takes the events.
    pub bus: Arc<dyn Bus>,
    /// Has the log.
    pub store: Arc<dyn Store>,
    /// Records the position.
    pub repository: Mailbox<UserRepository>,
    /// The hint that there are new records, and the content of `Head`.
    pub head: watch::Receiver<Option<Head>>,
    /// Seals the hashes of passwords.
    pub sealing_key: Arc<SealingKeys>,
    /// Writes the events.
    pub codec: Codec,
    /// Watches the loops.
    pub health: Health,
}

/// The publisher.
pub struct EventPublisher {
    /// Moves into the loops when the actor starts.
    relay: Option<Relay>,
    /// Dropping it ends the loops.
    stop: Option<watch::Sender<()>>,
    /// Waits for their end.
    stopped: Option<Ask<FlushAndStop>>,
}

impl EventPublisher {
    /// The publisher, and how much the bus has confirmed: nothing until the recorded position was
    /// read.
    pub fn new(publishing: Publishing) -> (Self, watch::Receiver<Option<Published>>) {
        let (stop, stopping) = watch::channel(());
        let (published, seen) = watch::channel(None);
        let relay = Relay {
            publishing,
            stopping,
            published,
            recorded: 0,
            recorded_at: Instant::now(),
            batch: BATCH,
        };
        (Self { relay: Some(relay), stop: Some(stop), stopped: None }, seen)
    }
}

impl Actor for EventPublisher {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(relay) = self.relay.take() else { return };
        context.spawn(relay.work().into_actor(self).map(|(), publisher, context| {
            if let Some(ask) = publisher.stopped.take() {
                ask.answer(|FlushAndStop| ());
            }
            context.stop();
        }));
    }
}

impl Handler<Ask<FlushAndStop>> for EventPublisher {
    type Result = ();

    fn handle(&mut self, ask: Ask<FlushAndStop>, _: &mut Self::Context) {
        self.stopped = Some(ask);
        self.stop = None;
    }
}

/// The state of the loops.
struct Relay {
    publishing: Publishing,
    /// Closed when the loops are to end.
    stopping: watch::Receiver<()>,
    /// The last record that the bus has confirmed. Read by `/metrics`.
    published: watch::Sender<Option<Published>>,
    /// The last confirmed record whose position is stored.
    recorded: i64,
    recorded_at: Instant,
    /// How many events are published at once: halved when the bus did not confirm a batch, because
    /// a slow bus may never confirm so many in time; doubled when it did.
    batch: u32,
}

/// Why a burst ended early.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("the log cannot be read")]
    Log(#[from] StoreError),
    #[error("the published position cannot be recorded")]
    Record(#[from] AskError),
}

impl Relay {
    async fn work(mut self) {
        let (health, stopping) = (self.publishing.health.clone(), self.stopping.clone());
        let heads = tell_heads(
            health.clone(),
            Arc::clone(&self.publishing.bus),
            self.publishing.codec.clone(),
            self.publishing.head.clone(),
            stopping.clone(),
        );
        let publishing =
            supervise(&health, PUBLISHING, until_closed(stopping), async || self.run().await);
        tokio::join!(publishing, heads);
        // The last attempt: the loop may have been stopped while it waited for the bus.
        if let Err(error) = self.finish().await {
            tracing::warn!(
                error = &error as &dyn Error,
                "the last events were not published; the next start publishes them"
            );
        }
    }

    /// Publishes until it is stopped.
    async fn run(&mut self) -> Result<(), RelayError> {
        let reader = self.open().await?;
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stopping, mut backoff) = (self.stopping.clone(), Backoff::new(PUBLISHING));
        loop {
            tokio::select! {
                () = until_closed(stopping.clone()) => return Ok(()),
                Ok(()) = self.publishing.head.changed() => {}
                _ = period.tick() => {}
            }
            match self.turn(&*reader).await {
                Ok(()) => backoff.worked(),
                Err(RelayError::Bus(error)) => tokio::select! {
                    () = until_closed(stopping.clone()) => return Ok(()),
                    () = sleep(backoff.failed(&error)) => {}
                },
                Err(error) => return Err(error),
            }
            self.record_if_due().await?;
        }
    }

    async fn open(&mut self) -> Result<Box<dyn LogReader>, StoreError> {
        let reader = self.publishing.store.open_log_reader().await?;
        if self.published.borrow().is_none() {
            self.recorded = reader.find_published().await?;
            let published = Published { seq: self.recorded, caught_up_at: Instant::now() };
            self.published.send_replace(Some(published));
        }
        Ok(reader)
    }

    async fn finish(&mut self) -> Result<(), RelayError> {
        let reader = self.open().await?;
        let published = self.turn(&*reader).await;
        self.record().await?;
        published
    }

    fn seq(&self) -> i64 {
        self.published.borrow().map_or(self.recorded, |published| published.seq)
    }

    /// Publishes all records that are there.
    async fn turn(&mut self, reader: &dyn LogReader) -> Result<(), RelayError> {
        let began_at = Instant::now();
        loop {
            let Records { records, head } = reader.list_records(self.seq(), self.batch).await?;
            let Some(last) = records.last().map(|stored| stored.record.position) else { break };
            let Publishing { sealing_key, codec, .. } = &self.publishing;
            let mut batch: Vec<Outgoing> = records
                .into_iter()
                .map(|stored| seal_record(stored, sealing_key))
                .map(|sent| codec.encode_event(&sent, head.incarnation))
                .collect();
            // The `Head` at the end of a burst is sent with its last events.
            let is_end = last == head.position;
            if is_end {
                batch.push(codec.encode_head(&head));
            }
            fail_point("log_read");
            self.publish(batch).await?;
            fail_point("published");
            self.set_published(|published| published.seq = last.seq);
            if is_end {
                break;
            }
            self.record_if_due().await?;
        }
        self.set_published(|published| published.caught_up_at = began_at);
        Ok(())
    }

    async fn publish(&mut self, batch: Vec<Outgoing>) -> Result<(), BusError> {
        let taken = self.publishing.bus.publish(batch).await;
        self.batch = match taken {
            Ok(()) => (self.batch * 2).min(BATCH),
            Err(_) => (self.batch / 2).max(1),
        };
        taken
    }

    fn set_published(&self, set: impl FnOnce(&mut Published)) {
        self.published.send_modify(|published| {
            if let Some(published) = published {
                set(published);
            }
        });
    }

    /// Records the position, but not after each event: that would double the number of commits.
    async fn record_if_due(&mut self) -> Result<(), RelayError> {
        if self.recorded_at.elapsed() < PERIOD { Ok(()) } else { self.record().await }
    }

    /// Records the position.
    async fn record(&mut self) -> Result<(), RelayError> {
        let seq = self.seq();
        if seq == self.recorded {
            return Ok(());
        }
        self.recorded_at = Instant::now();
        match ask(&self.publishing.repository, RecordPublished { seq }).await? {
            Ok(()) => self.recorded = seq,
            // The disk may be full. Events after the recorded position are published twice.
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn Error,
                    "the published position was not recorded"
                );
            }
        }
        Ok(())
    }
}

/// Publishes a `Head` every second, even if events cannot be published: followers repair themselves
/// by it, even while one queue keeps the broker from confirming any event.
async fn tell_heads(
    health: Health,
    bus: Arc<dyn Bus>,
    codec: Codec,
    head: watch::Receiver<Option<Head>>,
    stopping: watch::Receiver<()>,
) {
    let stop = until_closed(stopping.clone());
    supervise(&health, "publishing heads", stop, async || {
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = until_closed(stopping.clone()) => return Ok::<(), BusError>(()),
                _ = period.tick() => {}
            }
            let Some(now) = *head.borrow() else { continue };
            if let Err(error) = bus.publish(vec![codec.encode_head(&now)]).await {
                // The publishing loop warns of the same failure; the next second tries again.
                tracing::debug!(error = &error as &dyn Error, "the head was not published");
            }
        }
    })
    .await;
}

async fn until_closed(mut stopping: watch::Receiver<()>) {
    while stopping.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests;
