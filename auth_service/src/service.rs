//! All wiring: which actor runs on which thread and why, and which actors know each other.
//!
//! | thread | actors and loops | why |
//! |---|---|---|
//! | `projecting` | [`CredentialRepository`], [`Maintenance`] | a commit to `projection.db` waits for the disk, and nobody else may |
//! | `revoking` | [`Revocations`], [`Maintenance`] | a commit to `tokens.db` waits for the disk, and a logout must not wait for a batch of events |
//! | `following` | [`UserEventConsumer`], [`DeadLetters`] | decoding batches must not hold up what a request waits for |
//! | each HTTP worker | [`CredentialReader`], [`PasswordHasher`] | a question to them is a local message and no hop. Tokens are verified and signed there, too |
//! | the caller's | the limiter behind [`GuessLimit`] | it decides within microseconds; there is one, because guesses count over all workers |
//!
//! The hashing threads belong to the caller, which may share them with user_service.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix::Arbiter;
use actix_web::web::ServiceConfig;
use contract::UserId;
use shared::actors::{Health, Mailbox, Maintenance, ask, join_threads};
use shared::bus::cloud_event::Codec;
use shared::bus::direct::{DirectClient, DirectUrl};
use shared::bus::{Bus, DeadLetters};
use shared::capacity::Capacity;
use shared::clock::{Clock, MonotonicClock};
use shared::full_disk::open_when_there_is_space;
use shared::hashing::{HashingThreads, PasswordHasher};
use shared::http::{
    GuessLimit, HttpMetrics, HttpServerConfig, Probes, RunningHttpServer, ServeError,
    TrustedProxies, serve,
};
use shared::secrets::{
    ClientSecrets, DataDirClaim, DataDirError, DataDirPlace, SealingKeyError, SealingKeys,
};
use shared::telemetry::Registry;
use shared::tokens::{EndedStamps, RevokedSessions, SigningKeyError, TokenRules, Verifier};
use tokio::sync::watch;

use crate::actors::credential_repository::CloseProjection;
use crate::actors::revocations::{CloseRevocations, PruneExpired};
use crate::actors::user_event_consumer::{FollowLoop, Freshness, StopFollowing, direct_way};
use crate::actors::{
    Applied, CredentialReader, CredentialRepository, Progress, ResealHashes, Revocations,
    UserEventConsumer,
};
use crate::config::{AuthServiceConfig, ClientsError, Config};
use crate::http::{self, Api, Authenticator, SessionEnder, TokenChecker};
use crate::key_ring::KeyRing;
use crate::metrics::{AgreementMetrics, FollowingMetrics, LoginMetrics, ServiceMetrics};
use crate::readiness::Readiness;
use crate::store::{Damage, ProjectionReader, StoreError};

mod files;

use files::Files;

/// By how many seconds clocks may differ.
const LEEWAY_S: i64 = 5;
/// The file of the projection.
const PROJECTION: &str = "projection.db";

/// What the service gets from its caller.
pub struct Deps {
    /// The connection to the other service.
    pub bus: Arc<dyn Bus>,
    /// Verifies passwords; the standalone binary shares one for both services.
    pub hashing: HashingThreads,
    /// How much of the machine it takes.
    pub capacity: Capacity,
    /// The clock.
    pub clock: Clock,
    /// For `/metrics`; the hashing metrics are registered already.
    pub registry: Registry,
}

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made.
    #[error("cannot use the data directory")]
    DataDir(#[from] DataDirError),
    /// The sealing key cannot be used.
    #[error("cannot use the sealing key")]
    SealingKeys(#[from] SealingKeyError),
    /// The key that tokens are signed with cannot be used.
    #[error("cannot use the signing key")]
    SigningKey(#[from] SigningKeyError),
    /// The clients in the settings cannot be used.
    #[error("cannot use the clients")]
    Clients(#[from] ClientsError),
    /// `projection.db` cannot be used.
    #[error(
        "cannot use the projection of the users{}",
        .0.advice_if_damaged("delete projection.db: it is loaded again from user_service, and all \
                              users must log in again")
    )]
    Projection(#[source] StoreError),
    /// `tokens.db` cannot be used.
    #[error(
        "cannot use the list of revoked sessions{}",
        .0.advice_if_damaged("restore tokens.db from a backup, or delete it; then all users must \
                              log in again")
    )]
    Revocations(#[source] StoreError),
    /// The HTTP server cannot listen.
    #[error("cannot serve HTTP")]
    Serve(#[from] ServeError),
}

/// A running service.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    http: RunningHttpServer,
    actors: Actors,
    /// Held until everything has stopped.
    _claim: DataDirClaim,
}

impl Running {
    /// Stops accepting requests, finishes those in progress, stores what is pending, and closes the
    /// databases.
    pub async fn stop(self) {
        self.http.stop().await;
        self.actors.stop().await;
        tracing::info!("auth_service has stopped");
    }
}

/// Starts the service. It does not wait for the bus, which may be unreachable: it answers from what
/// it has. While the disk is full it does without writing; it waits only if it cannot even read.
///
/// Must be called inside an actix system.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: Config, deps: Deps) -> Result<Running, StartError> {
    let Deps { bus, hashing, capacity, clock, mut registry } = deps;
    let metrics = ServiceMetrics::register(&mut registry);
    let http_metrics = HttpMetrics::register(&mut registry);
    let health = Health::register(&mut registry);
    let files = open_when_there_is_space(async || Files::open(&config, &clock, &metrics)).await?;
    let Files { claim, sealing_key, repository, revocations, key_ring, clients } = files;
    let rules = token_rules(&config.service);
    let verifier = Arc::new(key_ring.verifier(&rules)?);
    let codec = Codec::new(Arc::clone(&sealing_key));
    let actors = Actors::launch(
        (repository, revocations),
        &health,
        Following {
            bus: Arc::clone(&bus),
            codec: codec.clone(),
            replica: config.service.auth_replica.clone(),
            user_service_url: config.service.user_service_url.clone(),
            metrics: metrics.following,
        },
    );
    let api = ApiParts {
        hashing,
        projection: config.common.data_dir.join(PROJECTION),
        damage: actors.damage.clone(),
        verifier,
        revoked: actors.revoked.clone(),
        ended: actors.ended.clone(),
        bus: Arc::clone(&bus),
        codec,
        health: health.clone(),
        revocations: actors.revocations.clone(),
        user_service: config.service.user_service_client(),
        key_ring: Arc::new(key_ring),
        applied: actors.applied.clone(),
        fresh: actors.fresh.clone(),
        sealing_key,
        guesses: GuessLimit::launch(&config.common.guessing, MonotonicClock::system(), &health),
        clock,
        metrics: metrics.logins,
        rules,
        clients,
        admins: config.service.admins.clone().into(),
        token_lifetime_s: config.service.token_lifetime_s(),
        login_wait: config.service.login_wait.into(),
    };
    registry.register_collector(Box::new(actors.agreement()));
    let probes = actors.probes(health, bus, claim.watch(), registry);
    let paths = move |app: &mut ServiceConfig| api.configure(app);
    match serve(&server_config(&config, capacity), http_metrics, probes, http::document(), paths) {
        Ok(http) => {
            announce(&config.service, http.address);
            Ok(Running { address: http.address, http, actors, _claim: claim })
        }
        Err(error) => {
            actors.stop().await;
            Err(error.into())
        }
    }
}

fn server_config(config: &Config, capacity: Capacity) -> HttpServerConfig {
    HttpServerConfig {
        listen: config.service.auth_service_listen.clone(),
        max_connections: capacity.connections,
        workers: capacity.http_workers,
        trusted_proxies: TrustedProxies(config.common.guessing.trusted_proxies.clone()),
        shutdown_grace: config.common.shutdown_grace.into(),
    }
}

fn announce(service: &AuthServiceConfig, address: SocketAddr) {
    if service.is_one_of_several() {
        tracing::warn!(
            replica = service.auth_replica,
            "replicas of auth_service do not share logouts yet: a token of this replica is not \
             accepted by another, and after a change of replica its user must log in again"
        );
    }
    // Last: scripts that wait for this line find all the others before it.
    tracing::info!(%address, "auth_service listens");
}

fn token_rules(config: &AuthServiceConfig) -> TokenRules {
    TokenRules {
        issuer: config.token_issuer.clone(),
        audience: config.token_audience.clone(),
        leeway_s: LEEWAY_S,
    }
}

/// What the handlers are made from.
#[derive(Clone)]
struct ApiParts {
    hashing: HashingThreads,
    projection: PathBuf,
    damage: Damage,
    verifier: Arc<Verifier>,
    revoked: RevokedSessions,
    ended: EndedStamps,
    bus: Arc<dyn Bus>,
    codec: Codec,
    health: Health,
    revocations: Mailbox<Revocations>,
    user_service: Option<DirectClient>,
    key_ring: Arc<KeyRing>,
    applied: watch::Receiver<Applied>,
    fresh: Freshness,
    sealing_key: Arc<SealingKeys>,
    guesses: GuessLimit,
    clock: Clock,
    metrics: LoginMetrics,
    rules: TokenRules,
    clients: ClientSecrets,
    admins: Arc<[UserId]>,
    token_lifetime_s: i64,
    login_wait: Duration,
}

impl ApiParts {
    fn configure(&self, app: &mut ServiceConfig) {
        // Requests whose client may be gone check how many passwords wait.
        app.app_data(Rc::new(self.hashing.clone()));
        http::configure(self.launch_api(), app);
    }

    /// Called once on each worker's thread, whose actors it starts.
    fn launch_api(&self) -> Api {
        let parts = self.clone();
        let reader = Rc::new(ProjectionReader::new(parts.projection, parts.damage));
        let session_ender = SessionEnder {
            bus: Arc::clone(&parts.bus),
            direct: parts.user_service,
            codec: parts.codec.clone(),
            fresh: parts.fresh.clone(),
        };
        Api {
            authenticator: Authenticator {
                reader: CredentialReader::launch(Rc::clone(&reader), &parts.health),
                hasher: PasswordHasher::launch(parts.hashing, &parts.health),
                sealing_key: Arc::clone(&parts.sealing_key),
                bus: parts.bus,
                codec: parts.codec,
                fresh: parts.fresh,
                ended: parts.ended.clone(),
            },
            tokens: TokenChecker::new(
                parts.verifier,
                parts.revoked,
                parts.ended,
                reader,
                parts.clock.clone(),
            ),
            revocations: parts.revocations,
            session_ender,
            key_ring: parts.key_ring,
            applied: parts.applied,
            sealing_key: parts.sealing_key,
            guesses: parts.guesses,
            clock: parts.clock,
            metrics: parts.metrics,
            rules: parts.rules,
            clients: parts.clients,
            admins: parts.admins,
            token_lifetime_s: parts.token_lifetime_s,
            login_wait: parts.login_wait,
        }
    }
}

/// How the log of user_service is followed.
struct Following {
    bus: Arc<dyn Bus>,
    codec: Codec,
    replica: String,
    user_service_url: Option<DirectUrl>,
    metrics: FollowingMetrics,
}

/// The actors that run on separate threads.
struct Actors {
    repository: Mailbox<CredentialRepository>,
    revocations: Mailbox<Revocations>,
    consumer: Mailbox<UserEventConsumer>,
    /// Stops when this mailbox is dropped.
    _forgetting: Mailbox<Maintenance<Revocations, PruneExpired>>,
    /// Likewise.
    _resealing: Mailbox<Maintenance<CredentialRepository, ResealHashes>>,
    applied: watch::Receiver<Applied>,
    progress: watch::Receiver<Progress>,
    fresh: Freshness,
    revoked: RevokedSessions,
    ended: EndedStamps,
    is_writable: Arc<AtomicBool>,
    /// Of the projection, as its readers find it.
    damage: Damage,
    following: Arbiter,
    /// The threads of the databases.
    writing: [Arbiter; 2],
}

impl Actors {
    fn launch(
        (repository, revocations): (CredentialRepository, Revocations),
        health: &Health,
        Following { bus, codec, replica, user_service_url, metrics }: Following,
    ) -> Self {
        let [projecting, revoking, following] = [(); 3].map(|()| Arbiter::new());
        let ended = EndedStamps::default();
        let (applied, revoked) = (repository.applied(), revocations.view());
        let is_writable = revocations.is_writable();
        let repository = repository.launch(&projecting.handle(), health);
        let revocations = revocations.launch(&revoking.handle(), health);
        let progress = watch::Sender::new(Progress::start_at(applied.borrow().seq()));
        let watched = progress.subscribe();
        let (thread, taken) = (following.handle(), metrics.dead_letters.clone());
        let (direct, fresh) = direct_way(user_service_url);
        let follow_loop = FollowLoop {
            direct,
            dead_letters: DeadLetters::launch(&thread, Arc::clone(&bus), health, taken),
            codec,
            progress,
            bus,
            repository: repository.clone(),
            applied: applied.clone(),
            ended: ended.clone(),
            replica,
            metrics,
            health: health.clone(),
        };
        let maintain = (revocations.clone(), repository.clone());
        Self {
            consumer: UserEventConsumer::launch(&thread, follow_loop, health),
            _forgetting: Maintenance::launch(
                &revoking.handle(),
                "forgetting expired revocations",
                maintain.0,
                PruneExpired,
                health,
            ),
            _resealing: Maintenance::launch(
                &projecting.handle(),
                "sealing hashes with the first key",
                maintain.1,
                ResealHashes,
                health,
            ),
            repository,
            revocations,
            applied,
            progress: watched,
            fresh,
            revoked,
            ended,
            is_writable,
            damage: Damage::default(),
            following,
            writing: [projecting, revoking],
        }
    }

    fn agreement(&self) -> AgreementMetrics {
        let (applied, progress) = (self.applied.clone(), self.progress.clone());
        AgreementMetrics { applied, progress, fresh: self.fresh.clone() }
    }

    fn probes(
        &self,
        health: Health,
        bus: Arc<dyn Bus>,
        place: DataDirPlace,
        registry: Registry,
    ) -> Probes {
        let (applied, progress) = (self.applied.clone(), self.progress.clone());
        let is_writable = Arc::clone(&self.is_writable);
        let (fresh, damage) = (self.fresh.clone(), self.damage.clone());
        let readiness =
            Readiness { health, applied, progress, is_writable, place, damage, bus, fresh };
        let readiness = Arc::new(move || readiness.report());
        Probes { readiness, registry: Arc::new(registry) }
    }

    /// Stops the consumer first, so that nothing more is to be written. All readers have gone with
    /// the HTTP server: the writers can move everything into the databases' main files.
    async fn stop(self) {
        let stopped = ask(&self.consumer, StopFollowing).await;
        join_threads([self.following]).await;
        let closed = ask(&self.repository, CloseProjection).await;
        let closed = [stopped, closed, ask(&self.revocations, CloseRevocations).await];
        for error in closed.into_iter().filter_map(Result::err) {
            tracing::error!(error = &error as &dyn Error, "an actor was not stopped cleanly");
        }
        join_threads(self.writing).await;
    }
}
