//! All wiring: which actor runs on which thread and why, and which actors know each other.
//!
//! | thread | actors and loops | why |
//! |---|---|---|
//! | `writing` | [`UserRepository`], `Maintenance` | a commit waits for the disk, and nobody else may |
//! | `publishing` | `EventPublisher`, `LogListener`, `RehashReceiver`, `SessionEnder`, `DeadLetters` | they wait for the bus, or for other processes, and encode or open hashes; requests wait for `SessionEnder` alone |
//! | `answering` | `SyncResponder` | a snapshot of all users keeps its thread busy for long, and the publisher must go on |
//! | each HTTP worker | [`UserReader`], [`PasswordHasher`] | a question to them is a local message and no hop |
//! | the caller's | commands of operators, with a [`UserReader`]; [`ConsoleFeed`]; the limiter behind [`GuessLimit`] | commands are rare; the limiter decides within microseconds; there is one, because guesses count over all workers |
//!
//! The hashing threads belong to the caller, which may share them with auth_service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::web::ServiceConfig;
use shared::actors::{Health, Mailbox, ask};
use shared::audit::AuditTrail;
use shared::backup::ServiceData;
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, BusMetrics};
use shared::capacity::Capacity;
use shared::clock::{Clock, MonotonicClock};
use shared::config::CommonConfig;
use shared::full_disk::open_when_there_is_space;
use shared::hashing::{HashingThreads, PasswordHasher};
use shared::http::{
    AllowedOrigins, GuessLimit, HttpMetrics, HttpServerConfig, Probes, RunningHttpServer,
    ServeError, TrustedProxies, serve,
};
use shared::secrets::{
    AdminToken, AdminTokenError, DataDirClaim, DataDirError, DataLayout, ReplicaPlace,
    SealingKeyError, SealingKeys, claim_data_dir, claim_place,
};
use shared::telemetry::Registry;
use shared::traces::Traces;
use tokio::task::JoinHandle;

use crate::actors::console_feed::{EndStreams, Sources};
use crate::actors::sync_responder::DirectQuestions;
use crate::actors::{ConsoleFeed, UserReader, UserRepository};
use crate::admin::{self, AdminActors};
use crate::auth_service_client::{AuthServiceAddress, AuthServiceClient};
use crate::config::{self, Config};
use crate::http::{self, Access, Api, Console};
use crate::metrics::{AgreementMetrics, ServiceMetrics};
use crate::store::{self, Store, StoreError};

use self::actors::Actors;

mod actors;

/// What is in the data directory.
pub const DATA: ServiceData =
    ServiceData { service: "user_service", databases: store::databases(), private_keys: None };

/// How many streams of the console may be opened at once.
const WATCHING_MAX: usize = 32;

/// What the service gets from its caller.
pub struct Deps {
    /// Where the files of this process are.
    pub place: ReplicaPlace,
    /// The database of users.
    pub store: Arc<dyn Store>,
    /// The connection to the other service.
    pub bus: Arc<dyn Bus>,
    /// Hashes passwords; the standalone binary shares one for both services.
    pub hashing: HashingThreads,
    /// How much of the machine it takes.
    pub capacity: Capacity,
    /// The clock.
    pub clock: Clock,
    /// For `/metrics`; the hashing metrics are registered already.
    pub registry: Registry,
    /// Where auth_service is asked about tokens.
    pub auth_service: AuthServiceAddress,
}

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings contradict each other.
    #[error("{0}")]
    Settings(String),
    /// The data directory cannot be made.
    #[error("cannot use the data directory")]
    DataDir(#[from] DataDirError),
    /// The sealing key cannot be used.
    #[error("cannot use the sealing key")]
    SealingKeys(#[from] SealingKeyError),
    /// The administrator's token cannot be used.
    #[error("cannot use the administrator's token")]
    AdminToken(#[from] AdminTokenError),
    /// The database cannot be used.
    #[error(
        "cannot use the database of users{}",
        .0.advice_if_damaged("restore users.db from a backup")
    )]
    Store(#[from] StoreError),
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
    /// Answers commands of operators.
    admin: JoinHandle<()>,
    /// Feeds the console's streams, if there is a console.
    feed: Option<Mailbox<ConsoleFeed>>,
    /// Held until everything has stopped.
    _claim: DataDirClaim,
}

impl Running {
    /// Stops accepting requests, finishes those in progress, publishes and records what is pending,
    /// and closes the database.
    pub async fn stop(self) {
        if let Some(feed) = &self.feed {
            // The server waits for answers in progress, and these have no end of their own.
            let _ = ask(feed, EndStreams).await;
        }
        self.http.stop().await;
        self.admin.abort();
        // It has dropped its reader of the database.
        let _ = self.admin.await;
        self.actors.stop().await;
        self.traces.stop().await;
        tracing::info!("user_service has stopped");
    }
}

/// Claims where the files of this process are. Waits while the disk is full.
///
/// # Errors
/// See [`DataDirError`].
pub async fn claim(config: &Config, layout: DataLayout) -> Result<ReplicaPlace, StartError> {
    let data_dir = &config.common.data_dir;
    let claim = || match layout {
        // An auth_service may have its places in the same directory.
        DataLayout::Whole => {
            let claim = claim_data_dir(data_dir, DATA.service)?;
            Ok(ReplicaPlace { number: 1, directory: data_dir.clone(), claim })
        }
        DataLayout::Places => claim_place(data_dir, DATA.service, store::is_kept_outside),
    };
    open_when_there_is_space(async || claim().map_err(StartError::DataDir)).await
}

/// Starts the service. It does not wait for the bus, which may be unreachable. While the disk is
/// full it does without writing; it waits only for space for the sealing key.
///
/// Must be called inside an actix system.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: Config, deps: Deps) -> Result<Running, StartError> {
    check(&config)?;
    let files = open_when_there_is_space(async || open_files(&config.common));
    let Files { sealing_key, admin_token } = files.await?;
    let Deps { place, store, bus, hashing, capacity, clock, mut registry, auth_service } = deps;
    let codec = Codec::new(Arc::clone(&sealing_key));
    let auth_service = AuthServiceClient { address: auth_service, codec };
    let secrets = Secrets { sealing_key, admin_token, auth_service };
    let health = Health::register(&mut registry);
    let metrics = ServiceMetrics::register(&mut registry);
    let http_metrics = HttpMetrics::register(&mut registry);
    let traces = Traces::start(&config.common.traces, "user_service", &mut registry);
    let guesses = GuessLimit::launch(&config.common.guessing, MonotonicClock::system(), &health);
    let directory = place.directory.clone();
    let parts = ApiParts {
        directory,
        store,
        hashing,
        secrets,
        clock,
        health,
        guesses,
        traces: traces.clone(),
        config,
    };

    let actors = parts.launch_actors(Arc::clone(&bus), &metrics).await?;
    let (head, publication) = (actors.head.clone(), actors.publication.clone());
    registry.register_collector(Box::new(AgreementMetrics { head, publication }));
    registry.register_collector(Box::new(BusMetrics(Arc::clone(&bus))));
    let readiness = actors.readiness(&parts, Arc::clone(&bus), place.claim.watch());
    let probes = Probes::new(readiness, registry);
    let console = parts.launch_console(&probes, bus);
    let feed = console.as_ref().map(|console| console.feed.clone());
    let server = server_config(&parts.config, capacity, traces.clone());
    let access = parts.config.service.user_service_access;
    let admin = parts.spawn_admin(&actors.repository);
    let (repository, questions) = (actors.repository.clone(), actors.questions.clone());
    let configure = move |app: &mut ServiceConfig| {
        parts.configure(&repository, &questions, app);
        if let Some(console) = &console {
            http::configure_console(console.clone(), app);
        }
    };
    match serve(&server, http_metrics, probes, http::document(), configure) {
        Ok(http) => {
            announce(access, http.address);
            let (address, claim) = (http.address, place.claim);
            Ok(Running { address, http, actors, traces, admin, feed, _claim: claim })
        }
        Err(error) => {
            admin.abort();
            actors.stop().await;
            Err(error.into())
        }
    }
}

/// What is on the disk beside the database.
struct Files {
    sealing_key: Arc<SealingKeys>,
    admin_token: AdminToken,
}

fn open_files(common: &CommonConfig) -> Result<Files, StartError> {
    let sealing_key = Arc::new(SealingKeys::from_config(&common.sealing_key, &common.data_dir)?);
    let admin_token = AdminToken::load_or_create(&common.data_dir)?;
    Ok(Files { sealing_key, admin_token })
}

fn check(config: &Config) -> Result<(), StartError> {
    let problems = config.problems();
    if problems.is_empty() { Ok(()) } else { Err(StartError::Settings(problems.join("; "))) }
}

fn server_config(config: &Config, capacity: Capacity, traces: Traces) -> HttpServerConfig {
    HttpServerConfig {
        listen: config.service.user_service_listen.clone(),
        probes_listen: config.service.user_service_metrics_listen.clone(),
        max_connections: capacity.connections,
        workers: capacity.http_workers,
        trusted_proxies: TrustedProxies(config.common.guessing.trusted_proxies.clone()),
        cors_origins: AllowedOrigins::new(&config.common.cors_origins),
        shutdown_grace: config.common.shutdown_grace.into(),
        traces,
    }
}

fn announce(access: config::Access, address: SocketAddr) {
    if access == config::Access::Open {
        tracing::info!(
            "access is open: every client that reaches user_service may read and change every user"
        );
    }
    // Last: scripts that wait for this line find all the others before it.
    tracing::info!(%address, "user_service listens");
}

/// Secrets, and what uses them.
#[derive(Clone)]
struct Secrets {
    sealing_key: Arc<SealingKeys>,
    admin_token: AdminToken,
    auth_service: AuthServiceClient,
}

/// What the actors and the handlers are made from.
#[derive(Clone)]
struct ApiParts {
    /// Where the files of this process are.
    directory: PathBuf,
    store: Arc<dyn Store>,
    hashing: HashingThreads,
    secrets: Secrets,
    clock: Clock,
    health: Health,
    guesses: GuessLimit,
    traces: Traces,
    config: Config,
}

impl ApiParts {
    fn configure(
        &self,
        repository: &Mailbox<UserRepository>,
        questions: &DirectQuestions,
        app: &mut ServiceConfig,
    ) {
        // Requests whose client may be gone check how many passwords wait.
        app.app_data(Rc::new(self.hashing.clone()));
        http::configure(self.launch_api(repository, questions), app);
    }

    /// Called once on each worker's thread, whose actors it starts.
    fn launch_api(&self, repository: &Mailbox<UserRepository>, questions: &DirectQuestions) -> Api {
        let store = Arc::clone(&self.store);
        let reader = UserReader::launch(store, self.clock.clone(), &self.health);
        let settings = &self.config.service;
        let Secrets { sealing_key, admin_token, auth_service } = self.secrets.clone();
        let codec = auth_service.codec.clone();
        let access = Access {
            mode: settings.user_service_access,
            creators: settings.user_creation,
            admin_token,
            auth_service,
            reader: reader.clone(),
        };
        Api {
            repository: repository.clone(),
            reader,
            hasher: PasswordHasher::launch(self.hashing.clone(), &self.health),
            sealing_key,
            guesses: self.guesses.clone(),
            audit: self.audit_trail(),
            access,
            clock: self.clock.clone(),
            reset_lifetime_s: self.config.reset_lifetime_s(),
            policy: self.config.password_policy(),
            blocklist: self.config.password_blocklist(),
            requires_if_match: self.config.service.require_if_match,
            questions: questions.clone(),
            codec,
        }
    }

    fn audit_trail(&self) -> AuditTrail {
        let keys = Arc::clone(&self.secrets.sealing_key);
        AuditTrail::new(keys, self.config.common.audit_names)
    }

    /// Starts what feeds the console, unless it is switched off.
    fn launch_console(&self, probes: &Probes, bus: Arc<dyn Bus>) -> Option<Console> {
        if self.config.service.console == config::Switch::Off {
            return None;
        }
        let auth_service = self.secrets.auth_service.address.clone();
        let sources = Sources {
            registry: Arc::clone(&probes.registry),
            readiness: Arc::clone(&probes.readiness),
            bus,
            auth_service: auth_service.clone(),
            clock: self.clock.clone(),
        };
        let feed = Mailbox::start(&self.health, WATCHING_MAX, |_| ConsoleFeed::new(sources));
        Some(Console { feed, auth_service })
    }

    /// Answers commands on the caller's thread, with a reader of its own.
    fn spawn_admin(&self, repository: &Mailbox<UserRepository>) -> JoinHandle<()> {
        let reader = UserReader::launch(Arc::clone(&self.store), self.clock.clone(), &self.health);
        let actors = AdminActors {
            repository: repository.clone(),
            reader,
            hasher: PasswordHasher::launch(self.hashing.clone(), &self.health),
            policy: self.config.password_policy(),
            blocklist: self.config.password_blocklist(),
            audit: self.audit_trail(),
        };
        admin::spawn_admin(&self.directory, actors, self.health.clone())
    }
}
