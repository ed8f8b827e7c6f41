//! All wiring: which actor runs on which thread and why, and which actors know each other.
//!
//! | thread | actors and loops | why |
//! |---|---|---|
//! | `projecting` | `CredentialRepository`, `Maintenance` | a commit to `projection.db` waits for the disk, and nobody else may |
//! | `revoking` | [`TokenRevocations`], `Maintenance` | a commit to `tokens.db` waits for the disk, and a logout must not wait for a batch of events |
//! | `keys` | `KeyRing` | files of private keys wait for the disk, and no logout waits for them |
//! | `following` | `UserEventConsumer`, `TokenExchange`, `DeadLetters` | decoding batches must not hold up what a request waits for |
//! | the caller's | the answers to the operator's commands | they are few, and wait for actors only |
//! | each HTTP worker | [`CredentialReader`], [`PasswordHasher`] | a question to them is a local message and no hop. Tokens are verified and signed there, too |
//! | the caller's | the limiter behind [`GuessLimit`] | it decides within microseconds; there is one, because guesses count over all workers |
//!
//! The hashing threads belong to the caller, which may share them with user_service.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::ServiceConfig;
use contract::UserId;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use shared::actors::{Health, Mailbox};
use shared::audit::AuditTrail;
use shared::bus::cloud_event::Codec;
use shared::bus::direct::DirectClient;
use shared::bus::{Bus, BusMetrics};
use shared::capacity::Capacity;
use shared::clock::{Clock, MonotonicClock};
use shared::full_disk::open_when_there_is_space;
use shared::hashing::{HashingThreads, PasswordHasher};
use shared::http::{
    AllowedOrigins, GuessLimit, HttpMetrics, HttpServerConfig, RunningHttpServer, ServeError,
    TrustedProxies, serve,
};
use shared::secrets::{
    ClientSecrets, DataDirClaim, DataDirError, DataLayout, ReplicaPlace, SealingKeyError,
    SealingKeys,
};
use shared::telemetry::Registry;
use shared::tokens::key_schedule::KeyRules;
use shared::tokens::token_set_view::TokenSetView;
use shared::tokens::{EndedStamps, SigningKeyError, TokenRules};
use shared::traces::Traces;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::actors::key_ring::{JWKS_MAX_AGE_S, KeyRingConfig};
use crate::actors::user_event_consumer::UsersFreshness;
use crate::actors::{Applied, CredentialReader, Progress, Replicas, TokenRevocations, TokenSigner};
use crate::config::{AuthServiceConfig, ClientsError, Config, whole_seconds};
use crate::http::{self, Api, Authenticator, EndSessionsSender, Sessions, TokenChecker};
use crate::metrics::{ExchangeMetrics, FollowingMetrics, LoginMetrics, ServiceMetrics};
use crate::store::{Damage, PROJECTION, ProjectionReader, StoreError};

mod actors;
mod files;

use actors::{Actors, Exchanging, Following};
pub use files::DATA;
use files::Files;

/// By how many seconds clocks may differ.
const LEEWAY_S: i64 = 5;

/// What the service gets from its caller.
pub struct Deps {
    /// The connection to the other service.
    pub bus: Arc<dyn Bus>,
    /// Verifies passwords; the standalone binary shares one for both services.
    pub hashing: HashingThreads,
    /// How much of the machine it takes.
    pub capacity: Capacity,
    /// Where its files are in the data directory.
    pub layout: DataLayout,
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
    #[error("cannot use the signing keys")]
    SigningKey(#[from] SigningKeyError),
    /// The clients in the settings cannot be used.
    #[error("cannot use INTROSPECTION_CLIENTS")]
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
        "cannot use the token set{}",
        .0.advice_if_damaged("restore tokens.db from a backup, or delete it; then all users must \
                              log in again")
    )]
    TokenSet(#[source] StoreError),
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
    traces: Traces,
    /// Answers the operator's commands.
    admin: JoinHandle<()>,
    /// Held until everything has stopped.
    _claim: DataDirClaim,
}

impl Running {
    /// Stops accepting requests, finishes those in progress, stores what is pending, and closes the
    /// databases.
    pub async fn stop(self) {
        self.http.stop().await;
        self.admin.abort();
        self.actors.stop().await;
        self.traces.stop().await;
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
    let Deps { bus, hashing, capacity, layout, clock, mut registry } = deps;
    let metrics = ServiceMetrics::register(&mut registry);
    let http_metrics = HttpMetrics::register(&mut registry);
    let traces = Traces::start(&config.common.traces, "auth_service", &mut registry);
    let health = Health::register(&mut registry);
    let boot_id = clock.boot_id();
    let open = async || Files::open(&config, layout, (&clock, boot_id), &metrics);
    let files = open_when_there_is_space(open).await?;
    let Files { place, sealing_key, repository, revocations, replicas, keys, clients } = files;
    let codec = Codec::new(Arc::clone(&sealing_key));
    let actors = Actors::launch(
        (repository, revocations),
        (keys, key_ring_config(&config, &place.directory, &clock, boot_id)),
        &health,
        following(&config.service, place.number, (&bus, &codec), metrics.following, &traces),
        Exchanging { known: replicas, clock: clock.clone(), metrics: metrics.exchange.clone() },
    );
    actors.make_keys_ready().await;
    let api = ApiParts {
        hashing,
        projection: place.directory.join(PROJECTION),
        damage: actors.damage.clone(),
        token_set: actors.token_set.clone(),
        ended: actors.ended.clone(),
        bus: Arc::clone(&bus),
        codec,
        health: health.clone(),
        revocations: actors.revocations.clone(),
        user_service: config.service.user_service_client(),
        signer: actors.signer.clone(),
        applied: actors.applied.clone(),
        progress: actors.progress.clone(),
        fresh: actors.fresh.clone(),
        audit: AuditTrail::new(Arc::clone(&sealing_key), config.common.audit_names),
        sealing_key,
        guesses: GuessLimit::launch(&config.common.guessing, MonotonicClock::system(), &health),
        clock: clock.clone(),
        metrics: metrics.logins,
        exchange_metrics: metrics.exchange,
        replicas: actors.replicas.clone(),
        refuse_after_ms: config.service.refuse_after_ms(),
        logout_acks: config.service.logout_acks,
        rules: token_rules(&config.service),
        clients,
        admins: config.service.admins.clone().into(),
        token_lifetime_s: config.service.token_lifetime_s(),
        session_max_age_s: whole_seconds(config.service.session_max_age),
        login_wait: config.service.login_wait.into(),
    };
    register_replica(&mut registry, place.number, config.service.replica_in(place.number));
    registry.register_collector(Box::new(BusMetrics(Arc::clone(&bus))));
    actors.register_collectors(&mut registry, &clock);
    let admin = actors.answer_commands(&place.directory, api.audit.clone(), &health);
    let refuse_after = config.service.refuse_after_ms();
    let probes = actors.probes(health, bus, place.claim.watch(), (clock, registry), refuse_after);
    let settings = server_config(&config, capacity, traces.clone());
    let served = serve(&settings, http_metrics, probes, http::document(), api.into_paths());
    finish(served, (actors, traces), admin, place).await
}

/// The running service. If it cannot listen, what was started stops.
async fn finish(
    served: Result<RunningHttpServer, ServeError>,
    (actors, traces): (Actors, Traces),
    admin: JoinHandle<()>,
    place: ReplicaPlace,
) -> Result<Running, StartError> {
    match served {
        Ok(http) => {
            // Last: scripts that wait for this line find all the others before it.
            tracing::info!(address = %http.address, place = place.number, "auth_service listens");
            let (address, claim) = (http.address, place.claim);
            Ok(Running { address, http, actors, traces, admin, _claim: claim })
        }
        Err(error) => {
            admin.abort();
            actors.stop().await;
            Err(error.into())
        }
    }
}

fn following(
    service: &AuthServiceConfig,
    place: u32,
    (bus, codec): (&Arc<dyn Bus>, &Codec),
    metrics: FollowingMetrics,
    traces: &Traces,
) -> Following {
    Following {
        bus: Arc::clone(bus),
        codec: codec.clone(),
        replica: service.replica_in(place),
        user_service_url: service.user_service_url.clone(),
        metrics,
        traces: traces.clone(),
    }
}

fn server_config(config: &Config, capacity: Capacity, traces: Traces) -> HttpServerConfig {
    HttpServerConfig {
        listen: config.service.auth_service_listen.clone(),
        probes_listen: config.service.auth_service_metrics_listen.clone(),
        max_connections: capacity.connections,
        workers: capacity.http_workers,
        trusted_proxies: TrustedProxies(config.common.guessing.trusted_proxies.clone()),
        cors_origins: AllowedOrigins::new(&config.common.cors_origins),
        shutdown_grace: config.common.shutdown_grace.into(),
        traces,
    }
}

fn register_replica(registry: &mut Registry, number: u32, name: String) {
    registry.register("replica", "The name of this replica", Info::new([("name", name)]));
    let place: Gauge = Gauge::default();
    place.set(number.into());
    registry.register("replica_place", "Number of its place in the data directory", place);
}

fn token_rules(config: &AuthServiceConfig) -> TokenRules {
    TokenRules {
        issuer: config.token_issuer.clone(),
        audience: config.token_audience.clone(),
        leeway_s: LEEWAY_S,
    }
}

fn key_ring_config(
    config: &Config,
    directory: &Path,
    clock: &Clock,
    boot_id: [u8; 16],
) -> KeyRingConfig {
    let service = &config.service;
    let rules = KeyRules {
        rotation_s: whole_seconds(service.key_rotation),
        max_age_s: JWKS_MAX_AGE_S,
        warmup_s: whole_seconds(service.key_warmup),
        lifetime_s: service.token_lifetime_s(),
        leeway_s: LEEWAY_S,
        algorithm: service.token_alg.into(),
    };
    let (directory, clock) = (directory.to_owned(), clock.clone());
    KeyRingConfig { rules, directory, clock, boot_id }
}

/// What the handlers are made from.
#[derive(Clone)]
struct ApiParts {
    hashing: HashingThreads,
    projection: PathBuf,
    damage: Damage,
    token_set: TokenSetView,
    ended: EndedStamps,
    bus: Arc<dyn Bus>,
    codec: Codec,
    health: Health,
    revocations: Mailbox<TokenRevocations>,
    user_service: Option<DirectClient>,
    signer: TokenSigner,
    applied: watch::Receiver<Applied>,
    progress: watch::Receiver<Progress>,
    fresh: UsersFreshness,
    sealing_key: Arc<SealingKeys>,
    guesses: GuessLimit,
    audit: AuditTrail,
    clock: Clock,
    metrics: LoginMetrics,
    exchange_metrics: ExchangeMetrics,
    replicas: Replicas,
    refuse_after_ms: Option<i64>,
    logout_acks: u8,
    rules: TokenRules,
    clients: ClientSecrets,
    admins: Arc<[UserId]>,
    token_lifetime_s: i64,
    session_max_age_s: i64,
    login_wait: Duration,
}

impl ApiParts {
    /// What each worker calls.
    fn into_paths(self) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
        move |app| self.configure(app)
    }

    fn configure(&self, app: &mut ServiceConfig) {
        // Requests whose client may be gone check how many passwords wait.
        app.app_data(Rc::new(self.hashing.clone()));
        http::configure(self.launch_api(), app);
    }

    /// Called once on each worker's thread, whose actors it starts.
    fn launch_api(&self) -> Api {
        let parts = self.clone();
        let reader = Rc::new(ProjectionReader::new(parts.projection, parts.damage));
        let end_sessions = EndSessionsSender {
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
                fresh: parts.fresh.clone(),
                ended: parts.ended.clone(),
                applied: parts.applied.clone(),
                progress: parts.progress,
            },
            tokens: TokenChecker::new(
                parts.rules.clone(),
                parts.token_set.clone(),
                parts.ended,
                (reader, parts.applied.clone()),
                parts.fresh,
                (parts.replicas.clone(), parts.refuse_after_ms),
                parts.clock.clone(),
            ),
            sessions: Sessions {
                revocations: parts.revocations.clone(),
                replicas: parts.replicas,
                acks: parts.logout_acks,
                metrics: parts.exchange_metrics,
            },
            revocations: parts.revocations,
            end_sessions,
            signer: parts.signer,
            token_set: parts.token_set,
            applied: parts.applied,
            audit: parts.audit,
            sealing_key: parts.sealing_key,
            guesses: parts.guesses,
            clock: parts.clock,
            metrics: parts.metrics,
            rules: parts.rules,
            clients: parts.clients,
            admins: parts.admins,
            token_lifetime_s: parts.token_lifetime_s,
            session_max_age_s: parts.session_max_age_s,
            login_wait: parts.login_wait,
        }
    }
}
