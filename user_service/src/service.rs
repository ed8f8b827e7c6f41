//! All wiring.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, Arbiter};
use shared::actors::{Health, Mailbox, ask};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, BusStatus, DeadLetters};
use shared::clock::{Clock, MonotonicClock};
use shared::config::cores;
use shared::hashing::{HashingThreads, PasswordHasher};
use shared::http::{
    GuessLimit, HttpMetrics, HttpServerConfig, Probes, Readiness, ReadinessReport,
    RunningHttpServer, ServeError, TrustedProxies, serve,
};
use shared::secrets::{DataDirClaim, DataDirError, SealingKeyError, SealingKeys, claim_data_dir};
use shared::sqlite::{CommitCount, OpenError, ReadPool, StoreError};
use shared::telemetry::Registry;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::actors::bus_loop::BusAccess;
use crate::actors::event_publisher::{FlushAndStop, Published};
use crate::actors::user_repository::{Close, OpenRepositoryError};
use crate::actors::{EventPublisher, RehashReceiver, SyncResponder, UserReader, UserRepository};
use crate::config::{Access, Config};
use crate::http::{self, Api};
use crate::metrics::{AgreementMetrics, ServiceMetrics};
use crate::store;

/// How long the last events may take to reach the bus when the service stops. What does not is
/// published at the next start.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// Commands that may wait for the publisher: it is told once to stop.
const STOPS_MAX: usize = 1;

/// What the service gets from outside.
pub struct Deps {
    /// The way to the other service.
    pub bus: Arc<dyn Bus>,
    /// Hashes passwords; the standalone binary has one for both services.
    pub hashing: HashingThreads,
    /// Tells the time.
    pub clock: Clock,
    /// For `/metrics`; hashing's are in it already.
    pub registry: Registry,
}

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting whose value is not to be had yet.
    #[error("USER_SERVICE_ACCESS=owner is not there yet: only open is")]
    Access,
    /// The password's limits leave nothing.
    #[error("PASSWORD_MIN_CHARS is more than PASSWORD_MAX_CHARS")]
    PasswordLimits,
    /// The data directory cannot be made.
    #[error("cannot use the data directory")]
    DataDir(#[from] DataDirError),
    /// The sealing key is of no use.
    #[error("cannot use the sealing key")]
    SealingKeys(#[from] SealingKeyError),
    /// The database cannot be written.
    #[error("cannot start the writer")]
    Repository(#[from] OpenRepositoryError),
    /// The database cannot be read.
    #[error("cannot open the database of users for reading")]
    Readers(#[from] OpenError),
    /// The log cannot be read.
    #[error("cannot read the log")]
    Log(#[from] StoreError),
    /// Nobody can reach it.
    #[error("cannot serve HTTP")]
    Serve(#[from] ServeError),
}

/// A service that answers.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    http: RunningHttpServer,
    actors: Actors,
    /// Until everything has stopped.
    _claim: DataDirClaim,
}

impl Running {
    /// Stops taking requests, finishes those in hand, publishes and records what is pending, and
    /// closes the database.
    pub async fn stop(self) {
        self.http.stop().await;
        self.actors.stop().await;
        tracing::info!("user_service has stopped");
    }
}

/// Starts the service. It waits for nobody: the bus may be away.
///
/// To be called inside an actix system.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: Config, deps: Deps) -> Result<Running, StartError> {
    check(&config)?;
    let claim = claim_data_dir(&config.common.data_dir, "user_service")?;
    let common = &config.common;
    let sealing_key = Arc::new(SealingKeys::from_config(&common.sealing_key, &common.data_dir)?);
    let Deps { bus, hashing, clock, mut registry } = deps;
    let health = Health::register(&mut registry);
    let metrics = ServiceMetrics::register(&mut registry);
    let http_metrics = HttpMetrics::register(&mut registry);
    let workers = config.common.http_workers.map_or_else(cores, usize::from);

    let repository = UserRepository::open(
        &config.database(),
        Arc::clone(&sealing_key),
        clock.clone(),
        config.log_retention(),
        metrics.writer.clone(),
    )?;
    let head = repository.head();
    // One for each worker, the publisher and the responder.
    let readers = u32::try_from(workers + 2).unwrap_or(u32::MAX);
    let pool = store::open_pool(&config.database(), readers)?;
    let (is_writable, commits) = (repository.is_writable(), repository.commits());
    let actors = Actors::launch(
        &config,
        repository,
        Arc::clone(&bus),
        &pool,
        &sealing_key,
        &metrics,
        &health,
    )?;

    let published = actors.published.clone();
    registry.register_collector(Box::new(AgreementMetrics { head, published }));
    let watched = health.clone();
    let readiness: Readiness =
        Arc::new(move || report(&watched, is_writable.load(Ordering::Relaxed), bus.status()));
    let probes = Probes { readiness, registry: Arc::new(registry) };
    let api = ApiParts {
        repository: actors.repository.clone(),
        hashing,
        sealing_key,
        config: config.clone(),
        pool,
        commits,
        clock,
        guesses: GuessLimit::launch(&common.guessing, MonotonicClock::system(), &health),
        health,
    };
    let server = server_config(&config, workers);
    let configure = move |app: &mut _| http::configure(api.launch(), app);
    match serve(&server, http_metrics, probes, http::document(), configure) {
        Ok(http) => {
            announce(http.address);
            Ok(Running { address: http.address, http, actors, _claim: claim })
        }
        Err(error) => {
            actors.stop().await;
            Err(error.into())
        }
    }
}

fn server_config(config: &Config, workers: usize) -> HttpServerConfig {
    HttpServerConfig {
        listen: config.service.user_service_listen,
        workers,
        trusted_proxies: TrustedProxies(config.common.guessing.trusted_proxies.clone()),
        shutdown_grace: config.common.shutdown_grace.0,
    }
}

fn announce(address: SocketAddr) {
    tracing::info!("access is open: whoever reaches user_service may read and change every user");
    // Last: whoever waits for this line finds all the others before it.
    tracing::info!(%address, "user_service listens");
}

fn check(config: &Config) -> Result<(), StartError> {
    if config.service.user_service_access != Access::Open {
        return Err(StartError::Access);
    }
    if config.service.password_min_chars > config.service.password_max_chars {
        return Err(StartError::PasswordLimits);
    }
    Ok(())
}

fn report(health: &Health, is_writable: bool, bus: BusStatus) -> ReadinessReport {
    let mut report = ReadinessReport { reasons: health.reasons(), degraded: health.degraded() };
    if !is_writable {
        report.reasons.push("the database cannot be written: the disk is full".into());
    }
    if let BusStatus::Down { cause } = bus {
        report.degraded.push(cause);
    }
    report
}

/// What the handlers need, before there is a worker.
#[derive(Clone)]
struct ApiParts {
    repository: Mailbox<UserRepository>,
    hashing: HashingThreads,
    sealing_key: Arc<SealingKeys>,
    config: Config,
    pool: ReadPool,
    commits: CommitCount,
    clock: Clock,
    health: Health,
    guesses: GuessLimit,
}

impl ApiParts {
    /// Called once on each worker's thread, whose actors it starts.
    fn launch(&self) -> Api {
        let (pool, commits) = (self.pool.clone(), self.commits.clone());
        Api {
            repository: self.repository.clone(),
            reader: UserReader::launch(pool, commits, self.clock.clone(), &self.health),
            hasher: PasswordHasher::launch(self.hashing.clone(), &self.health),
            sealing_key: Arc::clone(&self.sealing_key),
            guesses: self.guesses.clone(),
            policy: self.config.password_policy(),
            blocklist: self.config.password_blocklist(),
            requires_if_match: self.config.service.require_if_match,
        }
    }
}

/// The actors that live on threads of their own.
struct Actors {
    repository: Mailbox<UserRepository>,
    publisher: Mailbox<EventPublisher>,
    published: watch::Receiver<Published>,
    /// The writer's: it may wait for the disk there.
    writing: Arbiter,
    /// The publisher's and the receiver's.
    relaying: Arbiter,
    /// The responder's: a snapshot takes its time.
    responding: Arbiter,
}

impl Actors {
    fn launch(
        config: &Config,
        repository: UserRepository,
        bus: Arc<dyn Bus>,
        pool: &ReadPool,
        sealing_key: &Arc<SealingKeys>,
        metrics: &ServiceMetrics,
        health: &Health,
    ) -> Result<Self, StartError> {
        let (head, key) = (repository.head(), Arc::clone(sealing_key));
        let (directory, limit) = (config.common.data_dir.clone(), config.service.sync_replay_limit);
        let (answers, asked) = (metrics.answers.clone(), head.clone());
        let [writing, relaying, responding] = [(); 3].map(|()| Arbiter::new());
        let taken = metrics.dead_letters.clone();
        let dead_letters = DeadLetters::launch(&relaying.handle(), Arc::clone(&bus), health, taken);
        let codec = Codec::new(Arc::clone(sealing_key));
        let access = BusAccess { bus: Arc::clone(&bus), codec, dead_letters };
        let responder =
            SyncResponder::new(access.clone(), pool, asked, key, directory, limit, answers)?;
        let repository = repository.launch(&writing.handle(), health);
        let publisher =
            EventPublisher::new(bus, pool, repository.clone(), head, Arc::clone(sealing_key))?;
        let confirmed = publisher.published();
        let receiver = RehashReceiver::new(access, repository.clone());
        let publisher = Mailbox::start_on(&relaying.handle(), health, STOPS_MAX, |_| publisher);
        RehashReceiver::start_in_arbiter(&relaying.handle(), |_| receiver);
        SyncResponder::start_in_arbiter(&responding.handle(), |_| responder);
        Ok(Self { repository, publisher, published: confirmed, writing, relaying, responding })
    }

    /// The publisher first: it tells the writer how far it came.
    async fn stop(self) {
        if timeout(FLUSH_LIMIT, ask(&self.publisher, FlushAndStop)).await.is_err() {
            tracing::warn!("the bus did not take the last events: they go out at the next start");
        }
        if let Err(error) = ask(&self.repository, Close).await {
            tracing::error!(%error, "the database was not closed in order");
        }
        let arbiters = [self.relaying, self.responding, self.writing];
        let join = move || {
            for arbiter in arbiters {
                arbiter.stop();
                if arbiter.join().is_err() {
                    tracing::error!("an actor's thread has panicked");
                }
            }
        };
        if tokio::task::spawn_blocking(join).await.is_err() {
            tracing::error!("the actors' threads were not joined");
        }
    }
}
