//! This service as a separate binary.

pub mod check;
mod keys;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueHint};
use shared::backup::ServiceData;
use shared::bus::AmqpBus;
use shared::capacity::Capacity;
use shared::cli::{Application, BrokerMissing, CommandError, ServiceCommand};
use shared::clock::Clock;
use shared::config::{CommonConfig, HashingArgs, ListenAddress};
use shared::hashing::{HashingConfig, HashingMetrics, HashingThreads};
use shared::secrets::{DataLayout, first_place};
use shared::telemetry::registry_of;

use crate::config::Config;
use crate::{DATA, Deps, Running, start};

use keys::Keys;

/// `auth_service`.
pub struct AuthServiceBinary;

/// Its settings.
#[derive(Args, Clone, Debug)]
pub struct BinaryConfig {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    hashing: HashingArgs,
}

/// Commands to a running auth_service; standalone has them, too.
#[derive(Clone, Debug, Subcommand)]
pub enum AuthCommand {
    /// The signing keys of the running auth_service
    Keys(Keys),
}

impl AuthCommand {
    /// Does it, and prints what came of it.
    ///
    /// # Errors
    /// It was not done.
    pub fn run_in(self, data_dir: &Path) -> Result<(), CommandError> {
        match self {
            Self::Keys(keys) => keys.run(data_dir),
        }
    }
}

/// The commands of the binary `auth_service`.
#[derive(Clone, Debug, Subcommand)]
pub enum AuthBinaryCommand {
    /// Those that standalone has, too.
    #[command(flatten)]
    Service(AuthCommand),
    /// Check the projection and the token set of each replica in DATA_DIR; changes nothing
    ///
    /// It works while the service runs and while it does not, and says of each problem what would repair
    /// it. To compare with user_service:
    /// user_service check --json | auth_service check --against -
    Check {
        /// What `user_service check --json` has printed, to be compared with the projections; - is the
        /// standard input
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        against: Option<PathBuf>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

impl ServiceCommand<BinaryConfig> for AuthBinaryCommand {
    fn run(self, BinaryConfig { config, .. }: BinaryConfig) -> Result<(), CommandError> {
        let data_dir = &config.common.data_dir;
        match self {
            Self::Service(command) => command.run_in(data_dir),
            Self::Check { against, json } => check::check(data_dir, against.as_deref(), json),
        }
    }
}

impl Application for AuthServiceBinary {
    type Config = BinaryConfig;
    type Running = Running;
    type Command = AuthBinaryCommand;
    const NAME: &'static str = "auth_service";
    const ABOUT: &'static str = "Logs users of user_service in and out";
    const DATA: &'static [ServiceData] = &[DATA];

    fn common(config: &BinaryConfig) -> &CommonConfig {
        &config.config.common
    }

    fn hashing(config: &BinaryConfig) -> &HashingArgs {
        &config.hashing
    }

    fn problems(BinaryConfig { config, hashing }: &BinaryConfig) -> Vec<String> {
        let missing = BrokerMissing::in_config(&config.common.bus).map(|error| error.to_string());
        [config.problems(), hashing.problems(), missing.into_iter().collect()].concat()
    }

    fn probes(config: &BinaryConfig) -> Vec<&ListenAddress> {
        vec![config.config.service.probes_listen()]
    }

    /// All replicas have the same ended sessions, so those of one are enough.
    fn home(data_dir: &Path) -> io::Result<PathBuf> {
        first_place(data_dir)
    }

    async fn start(
        BinaryConfig { config, hashing }: BinaryConfig,
        capacity: Capacity,
        bus: Option<AmqpBus>,
    ) -> Result<Running, Box<dyn Error>> {
        let bus = Arc::new(bus.ok_or(BrokerMissing)?);
        let mut registry = registry_of("auth_service");
        let metrics = HashingMetrics::register(&mut registry);
        let hashing = HashingConfig::from_args(&hashing, capacity.hash_threads);
        let hashing = HashingThreads::start(hashing, metrics)?;
        let (layout, clock) = (DataLayout::Places, Clock::system());
        let deps = Deps { bus, hashing, capacity, layout, clock, registry };
        Ok(start(config, deps).await?)
    }

    async fn stop(running: Running) {
        running.stop().await;
    }
}
