//! All wiring: which actor lives on which thread, and who knows whom.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use actix_web::web::ServiceConfig;
use shared::actors::{Health, Mailbox, ask};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, BusStatus, DeadLetters};
use shared::cli::max_connections;
use shared::clock::{Clock, MonotonicClock};
use shared::config::{CommonConfig, cores};
use shared::hashing::{HashingThreads, PasswordHasher};
use shared::http::{
    GuessLimit, HttpMetrics, HttpServerConfig, Probes, ReadinessReport, RunningHttpServer,
    ServeError, TrustedProxies, serve,
};
use shared::secrets::{DataDirClaim, DataDirError, SealingKeyError, SealingKeys, claim_data_dir};
use shared::telemetry::Registry;
use shared::tokens::{RevokedView, SigningKey, SigningKeyError, TokenRules, Verifier};
use tokio::sync::watch;

use crate::actors::revocations::{FlushRevocations, RevokeInMemory, TokenTimes};
use crate::actors::user_event_consumer::{FollowLoop, StopFollowing};
use crate::actors::{
    Applied, CredentialReader, CredentialRepository, KeyRing, Progress, Revocations, SigningView,
    UserEventConsumer,
};
use crate::config::{AuthServiceConfig, Config};
use crate::http::{self, Api, Authenticator, Decoy, TokenChecker};
use crate::metrics::{AgreementMetrics, FollowingMetrics, LoginMetrics, ServiceMetrics};
use crate::store::{ProjectionReader, StoreError};

/// By how many seconds clocks may differ.
const LEEWAY_S: i64 = 5;
/// File of the projection.
const PROJECTION: &str = "projection.db";

/// What the service is given: in one process with user_service it shares them.
pub struct Deps {
    /// Brings events, takes questions.
    pub bus: Arc<dyn Bus>,
    /// Verifies passwords.
    pub hashing: HashingThreads,
    /// Tells the time.
    pub clock: Clock,
    /// What `/metrics` shows; hashing's metrics are in it.
    pub registry: Registry,
}

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory or a file in it.
    #[error("the data directory is of no use")]
    DataDir(#[from] DataDirError),
    /// The key that is shared with user_service.
    #[error("the sealing key is of no use")]
    SealingKeys(#[from] SealingKeyError),
    /// The key that tokens are signed with.
    #[error("the signing key is of no use")]
    SigningKey(#[from] SigningKeyError),
    /// `projection.db`.
    #[error("cannot use the projection of the users")]
    Projection(#[source] StoreError),
    /// `tokens.db`.
    #[error("cannot use the list of revoked tokens")]
    Revocations(#[source] StoreError),
    /// `projection.db`, for readers.
    #[error("cannot read the projection of the users")]
    Readers(#[source] StoreError),
    /// The HTTP server.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// The running service.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    http: RunningHttpServer,
    consumer: Mailbox<UserEventConsumer>,
    writers: Writers,
    /// Until everything has stopped.
    _claim: DataDirClaim,
}

/// Starts the service. It waits for nobody: without a broker it answers from what it has.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: Config, mut deps: Deps) -> Result<Running, StartError> {
    let Config { common, service } = config;
    let metrics = ServiceMetrics::register(&mut deps.registry);
    let http_metrics = HttpMetrics::register(&mut deps.registry);
    let claim = claim_data_dir(&common.data_dir, "auth_service")?;
    let sealing_key = Arc::new(SealingKeys::from_config(&common.sealing_key, &common.data_dir)?);
    let codec = Codec::new(Arc::clone(&sealing_key));
    let stores = Stores::open(&common.data_dir, &service, &sealing_key, &deps.clock, &metrics)?;
    let server = server_config(&common, &service);
    let projection = readable_projection(&common.data_dir)?;
    let rules = token_rules(&service);
    let key_ring = KeyRing::new(signing_key(&common.data_dir, &stores)?);
    let verifier = Arc::new(key_ring.verifier(&rules)?);
    let health = Health::register(&mut deps.registry);
    let writers = stores.launch(&health);
    let api = ApiParts {
        hashing: deps.hashing,
        projection,
        verifier,
        revoked: writers.revoked.clone(),
        bus: Arc::clone(&deps.bus),
        codec: codec.clone(),
        health: health.clone(),
        revocations: writers.revocations.clone(),
        signing: key_ring.view(),
        key_ring: key_ring.launch(&health),
        applied: writers.applied.clone(),
        sealing_key,
        guesses: GuessLimit::launch(&common.guessing, MonotonicClock::system(), &health),
        clock: deps.clock,
        metrics: metrics.logins,
        rules,
        token_lifetime_s: service.token_lifetime_s(),
        login_wait: service.login_wait.into(),
    };
    let progress = watch::Sender::new(Progress::start_at(writers.applied.borrow().seq()));
    deps.registry.register_collector(Box::new(AgreementMetrics {
        applied: writers.applied.clone(),
        progress: progress.subscribe(),
    }));
    let readiness = readiness(
        writers.applied.clone(),
        progress.subscribe(),
        Arc::clone(&deps.bus),
        health.clone(),
    );
    let probes = Probes { readiness: Arc::new(readiness), registry: Arc::new(deps.registry) };
    let paths = move |app: &mut ServiceConfig| api.configure(app);
    let http = match serve(&server, http_metrics, probes, http::document(), paths) {
        Ok(http) => http,
        Err(error) => {
            writers.stop().await;
            return Err(error.into());
        }
    };
    let consumer =
        writers.follow(deps.bus, codec, service.auth_replica, progress, metrics.following, &health);
    tracing::info!(address = %http.address, "auth_service listens");
    Ok(Running { address: http.address, http, consumer, writers, _claim: claim })
}

fn server_config(common: &CommonConfig, service: &AuthServiceConfig) -> HttpServerConfig {
    HttpServerConfig {
        listen: service.auth_service_listen.clone(),
        max_connections: max_connections(),
        workers: common.http_workers.map_or_else(cores, usize::from),
        trusted_proxies: TrustedProxies(common.guessing.trusted_proxies.clone()),
        shutdown_grace: common.shutdown_grace.into(),
    }
}

impl Running {
    /// Stops: no more requests, those in hand finished, what waits committed, threads ended.
    pub async fn stop(self) {
        self.http.stop().await;
        // An actor that is gone already needs no stopping.
        let _ = ask(&self.consumer, StopFollowing).await;
        self.writers.stop().await;
        tracing::info!("auth_service has stopped");
    }
}

/// What the handlers need, before there is a worker.
#[derive(Clone)]
struct ApiParts {
    hashing: HashingThreads,
    projection: PathBuf,
    verifier: Arc<Verifier>,
    revoked: RevokedView,
    bus: Arc<dyn Bus>,
    codec: Codec,
    health: Health,
    revocations: Mailbox<Revocations>,
    key_ring: Mailbox<KeyRing>,
    signing: SigningView,
    applied: watch::Receiver<Applied>,
    sealing_key: Arc<SealingKeys>,
    guesses: GuessLimit,
    clock: Clock,
    metrics: LoginMetrics,
    rules: TokenRules,
    token_lifetime_s: i64,
    login_wait: Duration,
}

impl ApiParts {
    fn configure(&self, app: &mut ServiceConfig) {
        // Requests whose client may be gone look at how many passwords wait.
        app.app_data(Rc::new(self.hashing.clone()));
        http::configure(self.launch(), app);
    }

    /// Called once on each worker's thread, whose actors it starts.
    fn launch(&self) -> Api {
        let parts = self.clone();
        Api {
            authenticator: Authenticator {
                reader: CredentialReader::launch(parts.projection, &parts.health),
                hasher: PasswordHasher::launch(parts.hashing, &parts.health),
                sealing_key: Arc::clone(&parts.sealing_key),
                bus: parts.bus,
                codec: parts.codec,
                decoy: Decoy::new(&parts.sealing_key),
            },
            tokens: TokenChecker::new(parts.verifier, parts.revoked, parts.clock.clone()),
            revocations: parts.revocations,
            key_ring: parts.key_ring,
            signing: parts.signing,
            applied: parts.applied,
            sealing_key: parts.sealing_key,
            guesses: parts.guesses,
            clock: parts.clock,
            metrics: parts.metrics,
            rules: parts.rules,
            token_lifetime_s: parts.token_lifetime_s,
            login_wait: parts.login_wait,
        }
    }
}

/// The writers, before they are given a thread.
struct Stores {
    repository: CredentialRepository,
    revocations: Revocations,
}

impl Stores {
    fn open(
        data_dir: &Path,
        config: &AuthServiceConfig,
        sealing_key: &Arc<SealingKeys>,
        clock: &Clock,
        metrics: &ServiceMetrics,
    ) -> Result<Self, StartError> {
        let times = TokenTimes { lifetime_s: config.token_lifetime_s(), leeway_s: LEEWAY_S };
        let path = data_dir.join("tokens.db");
        let metrics = metrics.revocations.clone();
        let revocations = Revocations::open(&path, clock.clone(), times, metrics)
            .map_err(StartError::Revocations)?;
        let path = data_dir.join(PROJECTION);
        let repository = CredentialRepository::open(&path, Arc::clone(sealing_key))
            .map_err(StartError::Projection)?;
        Ok(Self { repository, revocations })
    }

    /// Each on a thread of its own, which it may block.
    fn launch(self, health: &Health) -> Writers {
        let arbiters = [(); 3].map(|()| Arbiter::new());
        let revoke = self.revocations.in_memory();
        let (applied, revoked) = (self.repository.applied(), self.revocations.view());
        let repository = self.repository.launch(&arbiters[0].handle(), health);
        let revocations = self.revocations.launch(&arbiters[1].handle(), health);
        Writers { repository, revocations, applied, revoked, revoke, arbiters }
    }
}

/// The writers at work.
struct Writers {
    repository: Mailbox<CredentialRepository>,
    revocations: Mailbox<Revocations>,
    applied: watch::Receiver<Applied>,
    revoked: RevokedView,
    revoke: RevokeInMemory,
    /// The repository's and the revocations': each may wait for the disk there. The last one is the
    /// consumer's and the dead letters': decoding batches must not hold up what a login waits for.
    arbiters: [Arbiter; 3],
}

impl Writers {
    fn follow(
        &self,
        bus: Arc<dyn Bus>,
        codec: Codec,
        replica: String,
        progress: watch::Sender<Progress>,
        metrics: FollowingMetrics,
        health: &Health,
    ) -> Mailbox<UserEventConsumer> {
        let (thread, taken) = (self.arbiters[2].handle(), metrics.dead_letters.clone());
        let following = FollowLoop {
            dead_letters: DeadLetters::launch(&thread, Arc::clone(&bus), health, taken),
            codec,
            progress,
            bus,
            repository: self.repository.clone(),
            applied: self.applied.clone(),
            revocations: self.revocations.clone(),
            revoke: self.revoke.clone(),
            replica,
            metrics,
            health: health.clone(),
        };
        UserEventConsumer::launch(&thread, following, health)
    }

    async fn stop(self) {
        // An actor that is gone already has nothing to flush.
        let _ = ask(&self.revocations, FlushRevocations).await;
        for arbiter in self.arbiters {
            arbiter.stop();
            let _ = tokio::task::spawn_blocking(move || arbiter.join()).await;
        }
    }
}

/// The key of the present generation of `tokens.db`.
///
/// A `tokens.db` that was lost comes back with another generation, and so with another key: a token
/// that was logged out stays dead although nobody remembers it. If the projection was lost instead,
/// nobody can tell which users have changed their password or are gone since, so the generation is
/// renewed as well.
fn signing_key(data_dir: &Path, stores: &Stores) -> Result<SigningKey, StartError> {
    let path_of = |generation: &str| data_dir.join(format!("signing-{generation}.key"));
    let mut path = path_of(&stores.revocations.generation().map_err(StartError::Revocations)?);
    let has_projection = stores.repository.applied().borrow().cursor.is_some();
    if !has_projection && path.exists() {
        tracing::warn!("the projection is new: tokens that were signed before are dead");
        path = path_of(&stores.revocations.renew_generation().map_err(StartError::Revocations)?);
    }
    Ok(SigningKey::load_or_create(&path)?)
}

fn token_rules(config: &AuthServiceConfig) -> TokenRules {
    TokenRules {
        issuer: config.token_issuer.clone(),
        audience: config.token_audience.clone(),
        leeway_s: LEEWAY_S,
    }
}

/// The file that each worker opens later: what is wrong with it should be known now.
fn readable_projection(data_dir: &Path) -> Result<PathBuf, StartError> {
    let path = data_dir.join(PROJECTION);
    drop(ProjectionReader::open(&path).map_err(StartError::Readers)?);
    Ok(path)
}

fn readiness(
    applied: watch::Receiver<Applied>,
    progress: watch::Receiver<Progress>,
    bus: Arc<dyn Bus>,
    health: Health,
) -> impl Fn() -> ReadinessReport + Send + Sync {
    move || {
        let Applied { cursor, unopenable, .. } = applied.borrow().clone();
        let Progress { loaded, foreign_key, is_stuck, .. } = progress.borrow().clone();
        let mut report = ReadinessReport { reasons: health.reasons(), degraded: health.degraded() };
        if cursor.is_none() {
            report.reasons.push(match loaded {
                None => "catching up: no sync with user_service yet".to_owned(),
                Some((part, parts)) => {
                    format!("catching up: part {part} of {parts} of a snapshot is loaded")
                }
            });
        }
        if unopenable.count > 0 {
            report.reasons.push(unopenable.to_string());
        }
        if let Some(key) = foreign_key {
            report.degraded.push(format!(
                "user_service authenticates with the key {key}, which is not here: give both \
                 services the same sealing keys"
            ));
        }
        if is_stuck {
            report.degraded.push("the projection cannot be written".to_owned());
        }
        if let BusStatus::Down { cause } = bus.status() {
            report.degraded.push(cause);
        }
        report
    }
}
