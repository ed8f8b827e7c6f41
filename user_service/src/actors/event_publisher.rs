//! Brings the log to the bus.
//!
//! **Owns** the place in the log up to which the bus has confirmed.
//!
//! **Promises** that every record is published at least once and in its order, and that a `Head`
//! tells where the log ends, after each burst and every second.
//!
//! **When full** it cannot be: it takes no input but a hint that something is there, and reads the
//! log at its own pace. While the bus is away the log simply grows.
//!
//! **When it dies** the next start goes on from the recorded place: followers drop duplicates.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use contract::Head;
use shared::actors::{Ask, Backoff, Command, Mailbox, Reply, ask};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, BusError, Outgoing};
use shared::fail_point::fail_point;
use shared::secrets::SealingKeys;
use shared::sqlite::{ReadPool, Reader, StoreError};
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::sealed_user::with_sealed_hashes;
use super::user_repository::{RecordPublished, UserRepository};
use crate::store;

/// How many events are published at once.
const BATCH: usize = 500;
/// How often it looks without a hint, tells the log's end, and records its place at the most.
const PERIOD: Duration = Duration::from_secs(1);

/// "Publish what is there, and end": answers when the place is recorded. If the bus is away it
/// tries once.
#[derive(Debug)]
pub struct FlushAndStop;

impl Command for FlushAndStop {
    type Reply = ();
}

/// How far the bus is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The last record whose event it has confirmed.
    pub seq: i64,
    /// When it had last confirmed all that was there; at first, the start.
    pub caught_up_at: Instant,
}

/// The publisher.
pub struct EventPublisher {
    /// Moves into the loop when the actor starts.
    relay: Option<Relay>,
    /// What the loop says of itself.
    published: watch::Receiver<Published>,
    /// Ends the loop.
    stop: Option<oneshot::Sender<()>>,
    /// Waits for the loop's end.
    stopped: Option<Reply<()>>,
}

impl EventPublisher {
    /// Goes on from the recorded place.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn new(
        bus: Arc<dyn Bus>,
        pool: &ReadPool,
        repository: Mailbox<UserRepository>,
        head: watch::Receiver<Head>,
        sealing_key: Arc<SealingKeys>,
    ) -> Result<Self, StoreError> {
        let reader = store::check_out(pool)?;
        let recorded = store::published::read(&reader)?;
        let published =
            watch::Sender::new(Published { seq: recorded, caught_up_at: Instant::now() });
        let seen = published.subscribe();
        let relay = Relay {
            bus,
            reader,
            codec: Codec::new(Arc::clone(&sealing_key)),
            sealing_key,
            repository,
            head,
            published,
            recorded,
            recorded_at: Instant::now(),
        };
        Ok(Self { relay: Some(relay), published: seen, stop: None, stopped: None })
    }

    /// How far the bus is, now and later.
    pub fn published(&self) -> watch::Receiver<Published> {
        self.published.clone()
    }
}

impl Actor for EventPublisher {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let (stop, stopping) = oneshot::channel();
        self.stop = Some(stop);
        let Some(relay) = self.relay.take() else { return };
        let codec = relay.codec.clone();
        let heads = tell_heads(Arc::clone(&relay.bus), relay.head.clone(), codec);
        let running = async move {
            tokio::select! {
                () = relay.run(stopping) => {}
                never = heads => match never {},
            }
        };
        let ended = running.into_actor(self).map(|(), publisher, context| {
            if let Some(reply) = publisher.stopped.take() {
                reply.send(());
            }
            context.stop();
        });
        context.spawn(ended);
    }
}

impl Handler<Ask<FlushAndStop>> for EventPublisher {
    type Result = ();

    fn handle(&mut self, ask: Ask<FlushAndStop>, _: &mut Self::Context) {
        let (FlushAndStop, reply) = ask.into_parts();
        self.stopped = Some(reply);
        // Dropping it ends the loop.
        self.stop = None;
    }
}

/// The loop's state.
struct Relay {
    bus: Arc<dyn Bus>,
    reader: Reader,
    /// Seals the hashes that travel beside the events.
    sealing_key: Arc<SealingKeys>,
    codec: Codec,
    /// Records the place.
    repository: Mailbox<UserRepository>,
    /// The hint, and what `Head` tells.
    head: watch::Receiver<Head>,
    /// Up to here the bus has confirmed. Read by `/metrics`.
    published: watch::Sender<Published>,
    /// Up to here that is recorded.
    recorded: i64,
    recorded_at: Instant,
}

/// Why the loop turns.
enum Wake {
    Hint,
    Period,
    Stop,
}

/// Why a burst ended early.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("the log cannot be read")]
    Log(#[from] StoreError),
}

impl Relay {
    async fn run(mut self, mut stopping: oneshot::Receiver<()>) {
        let mut backoff = Backoff::new("publishing events");
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake = tokio::select! {
                _ = &mut stopping => Wake::Stop,
                Ok(()) = self.head.changed() => Wake::Hint,
                _ = period.tick() => Wake::Period,
            };
            match self.turn().await {
                Ok(()) => backoff.worked(),
                Err(_) if matches!(wake, Wake::Stop) => {}
                Err(RelayError::Log(error)) => tracing::error!(%error, "the log cannot be read"),
                Err(RelayError::Bus(error)) => tokio::select! {
                    () = sleep(backoff.failed(&error)) => {}
                    // Stays true: the next turn sees it too.
                    () = until_dropped(&mut stopping) => break,
                },
            }
            self.record(matches!(wake, Wake::Stop)).await;
            if matches!(wake, Wake::Stop) {
                return;
            }
        }
        self.record(true).await;
    }

    /// Publishes all that is there.
    async fn turn(&mut self) -> Result<(), RelayError> {
        let (head, began_at) = (*self.head.borrow_and_update(), Instant::now());
        loop {
            let limit = u32::try_from(BATCH).unwrap_or(u32::MAX);
            let seq = self.published.borrow().seq;
            let records = store::log::records_after(&self.reader, seq, limit)?;
            let Some(position) = records.last().map(|last| last.position) else { break };
            // The checksum is known at the log's end alone.
            let checksum = head.checksum.filter(|_| head.position == position);
            let end = Head { position, checksum, ..head };
            let records = with_sealed_hashes(&self.reader, records, &self.sealing_key)?;
            let mut batch: Vec<Outgoing> = records
                .iter()
                .map(|sent| self.codec.encode_event(sent, head.incarnation))
                .collect();
            // The end of a burst travels with it.
            let is_end = records.len() < BATCH;
            if is_end {
                batch.push(self.codec.encode_head(&end));
            }
            fail_point("log_read");
            self.bus.publish(batch).await?;
            fail_point("published");
            self.published.send_modify(|published| published.seq = position.seq);
            self.record(false).await;
            if is_end {
                break;
            }
        }
        self.published.send_modify(|published| published.caught_up_at = began_at);
        Ok(())
    }

    /// Records the place, but not at each event: that would be a second commit for each.
    async fn record(&mut self, is_last: bool) {
        let is_due = is_last || self.recorded_at.elapsed() >= PERIOD;
        let seq = self.published.borrow().seq;
        if !is_due || seq == self.recorded {
            return;
        }
        self.recorded_at = Instant::now();
        match ask(&self.repository, RecordPublished { seq }).await {
            Ok(Ok(())) => self.recorded = seq,
            // The next turn tries again; what is lost is published twice.
            Ok(Err(error)) => tracing::debug!(%error, "the place in the log was not recorded"),
            Err(error) => tracing::debug!(%error, "the place in the log was not recorded"),
        }
    }
}

/// Tells the log's end each second, whatever becomes of the events: followers repair themselves by
/// it, even while some queue makes the broker confirm none.
async fn tell_heads(bus: Arc<dyn Bus>, head: watch::Receiver<Head>, codec: Codec) -> Infallible {
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let now = *head.borrow();
        if let Err(error) = bus.publish(vec![codec.encode_head(&now)]).await {
            // The relay warns; the next second tries again.
            tracing::debug!(%error, "the log's end was not told");
        }
    }
}

async fn until_dropped(stopping: &mut oneshot::Receiver<()>) {
    let _ = stopping.await;
}

#[cfg(test)]
mod tests;
