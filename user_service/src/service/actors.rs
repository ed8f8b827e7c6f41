//! The actors that run on separate threads, and the order in which they stop.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::Arbiter;
use contract::Head;
use shared::actors::{Mailbox, Maintenance, ask, join_threads};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, BusStatus, DeadLetters};
use shared::http::{Readiness, ReadinessReport};
use shared::secrets::DataDirPlace;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{ApiParts, StartError};
use crate::actors::consuming::BusAccess;
use crate::actors::event_publisher::{FlushAndStop, Publication, Publishing, Tenure};
use crate::actors::log_listener::Listening;
use crate::actors::other_logs::OtherLogs;
use crate::actors::sync_responder::{DirectQuestions, Responding};
use crate::actors::user_repository::{Close, Prune};
use crate::actors::{
    EventPublisher, ForeignKeys, LogListener, RehashReceiver, SessionEnder, SyncResponder,
    UserRepository,
};
use crate::metrics::ServiceMetrics;

/// How long the last events may take to reach the bus when the service stops. Events that do not
/// arrive are published at the next start.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// Old records of the log are looked for so often.
const PRUNING: (&str, Duration) = ("pruning the log", Duration::from_mins(1));

/// Capacity of a mailbox whose actor only receives the command to stop.
const STOPS_MAX: usize = 1;

/// The actors that run on separate threads.
pub(super) struct Actors {
    pub(super) repository: Mailbox<UserRepository>,
    publisher: Mailbox<EventPublisher>,
    // These five actors stop when their last mailbox is dropped.
    _listener: Mailbox<LogListener>,
    _pruning: Mailbox<Maintenance<UserRepository, Prune>>,
    _receiver: Mailbox<RehashReceiver>,
    _ender: Mailbox<SessionEnder>,
    _responder: Mailbox<SyncResponder>,
    /// Leads to the responder.
    pub(super) questions: DirectQuestions,
    pub(super) head: watch::Receiver<Option<Head>>,
    pub(super) publication: Publication,
    is_writable: Arc<AtomicBool>,
    foreign_keys: ForeignKeys,
    /// The writer's thread.
    writing: Arbiter,
    /// The threads of those that read the log.
    readers: [Arbiter; 2],
}

impl ApiParts {
    /// Opens the database, and starts the actors that run on separate threads.
    pub(super) async fn launch_actors(
        &self,
        bus: Arc<dyn Bus>,
        metrics: &ServiceMetrics,
    ) -> Result<Actors, StartError> {
        let (store, health) = (&self.store, &self.health);
        let writer = metrics.writer.clone();
        let repository =
            UserRepository::open(Arc::clone(store), self.clock.clone(), writer).await?;
        let (head, is_writable) = (repository.head(), repository.is_writable());
        let [writing, publishing, answering] = [(); 3].map(|()| Arbiter::new());
        let repository = repository.launch(&writing.handle(), health);

        let (writer, prune) = (repository.clone(), Prune(self.config.log_retention()));
        let pruning = Maintenance::launch(&writing.handle(), PRUNING, writer, prune, health);
        let (publisher, publication) = self.publisher(&bus, &repository, &head);
        let listener = self.log_listener(&repository, &head);
        let others = publication.others.clone();
        let access = self.bus_access(bus, others, metrics, &publishing);
        let foreign_keys = access.foreign_keys.clone();
        let key = Arc::clone(&self.secrets.sealing_key);
        let receiver = RehashReceiver::new(access.clone(), repository.clone(), key, health.clone());
        let ender = SessionEnder::new(access.clone(), repository.clone(), health.clone());
        let (responder, questions) = self.responder(access, &repository, metrics);
        let on_publishing = publishing.handle();
        Ok(Actors {
            head,
            publication,
            is_writable,
            foreign_keys,
            publisher: Mailbox::start_on(&on_publishing, health, STOPS_MAX, |_| publisher),
            _listener: Mailbox::start_on(&on_publishing, health, STOPS_MAX, |_| listener),
            _pruning: pruning,
            _receiver: Mailbox::start_on(&on_publishing, health, STOPS_MAX, |_| receiver),
            _ender: Mailbox::start_on(&on_publishing, health, STOPS_MAX, |_| ender),
            _responder: Mailbox::start_on(&answering.handle(), health, STOPS_MAX, |_| responder),
            questions,
            repository,
            writing,
            readers: [publishing, answering],
        })
    }

    fn codec(&self) -> Codec {
        Codec::new(Arc::clone(&self.secrets.sealing_key))
    }

    fn publisher(
        &self,
        bus: &Arc<dyn Bus>,
        repository: &Mailbox<UserRepository>,
        head: &watch::Receiver<Option<Head>>,
    ) -> (EventPublisher, Publication) {
        EventPublisher::new(Publishing {
            bus: Arc::clone(bus),
            store: Arc::clone(&self.store),
            repository: repository.clone(),
            head: head.clone(),
            sealing_key: Arc::clone(&self.secrets.sealing_key),
            codec: self.codec(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            traces: self.traces.clone(),
        })
    }

    /// Hears of other processes behind the same log.
    fn log_listener(
        &self,
        repository: &Mailbox<UserRepository>,
        head: &watch::Receiver<Option<Head>>,
    ) -> LogListener {
        LogListener::new(Listening {
            store: Arc::clone(&self.store),
            repository: repository.clone(),
            head: head.clone(),
            health: self.health.clone(),
        })
    }

    /// What those need that consume messages. Dead letters are put away by the thread of the bus.
    fn bus_access(
        &self,
        bus: Arc<dyn Bus>,
        others: OtherLogs,
        metrics: &ServiceMetrics,
        publishing: &Arbiter,
    ) -> BusAccess {
        let (thread, taken) = (publishing.handle(), metrics.dead_letters.clone());
        let dead_letters = DeadLetters::launch(&thread, Arc::clone(&bus), &self.health, taken);
        let foreign_keys = ForeignKeys::new(metrics.foreign_keys.clone());
        let (codec, store) = (self.codec(), Arc::clone(&self.store));
        BusAccess { bus, codec, store, others, dead_letters, foreign_keys }
    }

    fn responder(
        &self,
        access: BusAccess,
        repository: &Mailbox<UserRepository>,
        metrics: &ServiceMetrics,
    ) -> (SyncResponder, DirectQuestions) {
        SyncResponder::new(Responding {
            access,
            store: Arc::clone(&self.store),
            repository: repository.clone(),
            sealing_key: Arc::clone(&self.secrets.sealing_key),
            directory: self.directory.clone(),
            replay_limit: self.config.service.sync_replay_limit,
            metrics: metrics.answers.clone(),
            health: self.health.clone(),
        })
    }
}

impl Actors {
    /// Computes the body of `/readyz`.
    pub(super) fn readiness(
        &self,
        parts: &ApiParts,
        bus: Arc<dyn Bus>,
        place: DataDirPlace,
    ) -> Readiness {
        let (is_writable, health) = (Arc::clone(&self.is_writable), parts.health.clone());
        let store = Arc::clone(&parts.store);
        let (foreign_keys, publication) = (self.foreign_keys.clone(), self.publication.clone());
        Arc::new(move || {
            let mut report = ReadinessReport {
                reasons: health.reasons(),
                degraded: health.degraded(),
                publisher: publication.tenure.borrow().as_ref().map(Tenure::told),
            };
            if let Some(trouble) = store.trouble() {
                report.reasons.push(trouble.to_owned());
            } else if !is_writable.load(Ordering::Relaxed) {
                report.reasons.push("the database cannot be written: the disk is full or read-only, or the file was removed".into());
            }
            report.reasons.extend(place.problem());
            if store.is_damaged() {
                let advice = "the database is damaged: stop the service, and restore a backup";
                report.reasons.push(advice.to_owned());
            }
            report.degraded.extend(foreign_keys.degraded());
            report.degraded.extend(publication.others.degraded());
            if let BusStatus::Down { cause } = bus.status() {
                report.degraded.push(cause);
            }
            report
        })
    }

    /// Stops the publisher first: it tells the writer which position it reached. Then all readers,
    /// so that the writer can move everything into the database's main file.
    pub(super) async fn stop(self) {
        if timeout(FLUSH_LIMIT, ask(&self.publisher, FlushAndStop)).await.is_err() {
            tracing::warn!("the last events were not published; the next start publishes them");
        }
        join_threads(self.readers).await;
        if let Err(error) = ask(&self.repository, Close).await {
            tracing::error!(error = &error as &dyn Error, "the database was not closed cleanly");
        }
        join_threads([self.writing]).await;
    }
}
