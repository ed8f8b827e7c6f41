//! Publishes the log to the bus.
//!
//! **Owns** the position in the log up to which the bus has confirmed events, and this process's claim
//! to the lease without which it publishes nothing: of several processes behind one log, one does.
//!
//! **Promises** that every record is published at least once and in order, and that a `Head`
//! announces the end of the log after each burst and every second, by the process with the lease. While
//! the head of another log is heard at the broker, no event is published.
//!
//! **When full**: this cannot happen. Its only input is a hint that there are new records, and it
//! reads the log at its own pace. While the bus is unreachable, the log simply grows.
//!
//! **When it dies** another process takes the lease within seconds, or the next start does, and
//! continues from the recorded position; followers drop duplicates.

mod heads;
mod lease_keeper;

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use contract::{Head, Position};
use shared::actors::{Ask, Backoff, Command, Health, Mailbox, supervise};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, BusError, Outgoing};
use shared::clock::Clock;
use shared::fail_point::fail_point;
use shared::secrets::SealingKeys;
use shared::traces::Traces;
use tokio::sync::watch;
use tokio::time::sleep;

use super::other_logs::{Hearing, OtherLogs};
use super::sealed_records::seal_record;
use super::user_repository::UserRepository;
use crate::store::{LEASE_LENGTH, LogReader, Records, Store, StoreError};
use heads::Heads;
use lease_keeper::{LeaseKeeper, Progress};

pub use lease_keeper::Tenure;

/// The name of the loop that publishes, in the log and at `/readyz`.
const PUBLISHING: &str = "publishing events";
/// How many events are published at once while the bus keeps up.
const BATCH: u32 = 500;

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
    /// Its place, if this process has published it.
    pub confirmed: Option<Position>,
    /// When the bus had last confirmed the whole log, as far as this process knows; initially, the
    /// time of the start.
    pub caught_up_at: Instant,
}

/// What the publisher works with.
pub struct Publishing {
    /// Takes the events.
    pub bus: Arc<dyn Bus>,
    /// Has the log.
    pub store: Arc<dyn Store>,
    /// Has the lease, and records the position.
    pub repository: Mailbox<UserRepository>,
    /// The hint that there are new records, and the content of `Head`.
    pub head: watch::Receiver<Option<Head>>,
    /// Seals the hashes of passwords.
    pub sealing_key: Arc<SealingKeys>,
    /// Writes the events.
    pub codec: Codec,
    /// Tells how long a lease holds.
    pub clock: Clock,
    /// Watches the loops.
    pub health: Health,
    /// Where the spans of events go.
    pub traces: Traces,
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

/// What others may know of the publisher.
#[derive(Clone, Debug)]
pub struct Publication {
    /// How much the bus has confirmed; `None` until the recorded position is known.
    pub published: watch::Receiver<Option<Published>>,
    /// Which process publishes; `None` until that is known.
    pub tenure: watch::Receiver<Option<Tenure>>,
    /// Why nothing may be published.
    pub others: OtherLogs,
}

impl EventPublisher {
    /// The publisher, and what it tells.
    pub fn new(publishing: Publishing) -> (Self, Publication) {
        let (stop, stopping) = watch::channel(());
        let (published, published_seen) = watch::channel(None);
        let (tenure, tenure_seen) = watch::channel(None);
        let (clock, others) = (publishing.clock.clone(), OtherLogs::default());
        let progress = Progress { published, tenure, clock, others: others.clone() };
        let relay = Relay { publishing, stopping, progress: Arc::new(progress), batch: BATCH };
        let publication = Publication { published: published_seen, tenure: tenure_seen, others };
        (Self { relay: Some(relay), stop: Some(stop), stopped: None }, publication)
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

/// What publishes the events.
struct Relay {
    publishing: Publishing,
    /// Closed when the loops are to end.
    stopping: watch::Receiver<()>,
    progress: Arc<Progress>,
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
}

impl Relay {
    async fn work(mut self) {
        let (health, stopping) = (self.publishing.health.clone(), self.stopping.clone());
        let (keeper, heads, hearing) = (self.keeper(), self.heads(), self.hearing());
        let stop = until_closed(stopping.clone());
        let publishing = supervise(&health, PUBLISHING, stop, async || self.run().await);
        let keeping = keeper.keep(&health, stopping.clone());
        let hearing = hearing.hear(&health, until_closed(stopping.clone()));
        tokio::join!(publishing, keeping, heads.tell(&health, stopping), hearing);
        // The last attempt: the loop may have been stopped while it waited for the bus, or for its
        // first lease.
        keeper.claim(LEASE_LENGTH).await;
        if let Err(error) = self.finish().await {
            tracing::warn!(
                error = &error as &dyn Error,
                "the last events were not published; the next start publishes them"
            );
        }
        keeper.give_up().await;
    }

    fn keeper(&self) -> LeaseKeeper {
        let Publishing { repository, bus, head, .. } = &self.publishing;
        LeaseKeeper {
            repository: repository.clone(),
            bus: Arc::clone(bus),
            head: head.clone(),
            progress: Arc::clone(&self.progress),
        }
    }

    fn heads(&self) -> Heads {
        let Publishing { bus, codec, head, .. } = &self.publishing;
        Heads {
            bus: Arc::clone(bus),
            codec: codec.clone(),
            head: head.clone(),
            progress: Arc::clone(&self.progress),
        }
    }

    fn hearing(&self) -> Hearing {
        let Publishing { bus, codec, head, .. } = &self.publishing;
        let others = self.progress.others.clone();
        Hearing { bus: Arc::clone(bus), codec: codec.clone(), head: head.clone(), others }
    }

    /// Publishes until it is stopped.
    async fn run(&mut self) -> Result<(), RelayError> {
        let reader = self.publishing.store.open_log_reader().await?;
        // Each claim of the lease wakes it as well: that repairs a hint that was lost.
        let mut claimed = self.progress.tenure.subscribe();
        claimed.mark_changed();
        let (stopping, mut backoff) = (self.stopping.clone(), Backoff::new(PUBLISHING));
        loop {
            tokio::select! {
                () = until_closed(stopping.clone()) => return Ok(()),
                Ok(()) = self.publishing.head.changed() => {}
                Ok(()) = claimed.changed() => {}
            }
            match self.turn(&*reader).await {
                Ok(()) => backoff.worked(),
                Err(RelayError::Bus(error)) => tokio::select! {
                    () = until_closed(stopping.clone()) => return Ok(()),
                    () = sleep(backoff.failed(&error)) => {}
                },
                Err(error) => return Err(error),
            }
        }
    }

    async fn finish(&mut self) -> Result<(), RelayError> {
        let reader = self.publishing.store.open_log_reader().await?;
        self.turn(&*reader).await
    }

    /// Publishes all records that are there, if this process is the one that does.
    async fn turn(&mut self, reader: &dyn LogReader) -> Result<(), RelayError> {
        let began_at = Instant::now();
        while self.progress.may_publish() {
            let Records { mut records, head } =
                reader.list_records(self.progress.seq(), self.batch).await?;
            let Some(last) = records.last().map(|stored| stored.record.position) else {
                self.progress.catch_up(began_at);
                break;
            };
            let Publishing { sealing_key, codec, traces, bus, .. } = &self.publishing;
            let sent = records.iter_mut().map(|stored| &mut stored.record);
            let sending = traces.sending(&**bus, sent);
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
            // The process may have been stopped while it read.
            if !self.progress.may_publish() {
                break;
            }
            let published = self.publish(batch).await;
            sending.end(published.is_ok());
            published?;
            fail_point("published");
            self.progress.confirm(last);
            if is_end {
                self.progress.catch_up(began_at);
                break;
            }
        }
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
}

async fn until_closed(mut stopping: watch::Receiver<()>) {
    while stopping.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests;
