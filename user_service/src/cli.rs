//! This service as a separate binary.

mod admins;
pub mod check;
mod migrate;
mod move_users;
mod users;

use std::error::Error;
use std::sync::Arc;

use clap::{Args, Subcommand};
use shared::backup::ServiceData;
use shared::bus::AmqpBus;
use shared::capacity::Capacity;
use shared::cli::{Application, BrokerMissing, CommandError, ServiceCommand, exit};
use shared::clock::Clock;
use shared::config::{CommonConfig, HashingArgs, ListenAddress};
use shared::hashing::{HashingConfig, HashingMetrics, HashingThreads};
use shared::telemetry::{ErrorChain, registry_of};

use crate::config::{Access, Config, UserServiceConfig};
use crate::{AuthServiceAddress, DATA, Deps, Running, claim, start};

use admins::AdminsCommand;
use move_users::Move;
use users::UsersCommand;

/// The commands of user_service.
#[derive(Clone, Debug, Subcommand)]
pub enum UserCommand {
    /// The users of the running user_service: create, list, import and export them
    #[command(subcommand)]
    Users(UsersCommand),
    /// The administrators among the users of the running user_service: list, add and remove them
    #[command(subcommand)]
    Admins(AdminsCommand),
    /// Bring the tables of the users up to date, and serve nothing
    ///
    /// A start does the same. Run it first where the service itself may not change tables. Several may run at once on
    /// PostgreSQL, while services of the version before go on.
    Migrate,
    /// Copy all users and their log from one database into another, empty one, while no service runs
    ///
    /// A second run goes on where the first stopped. An auth_service that follows the log goes on where it is.
    Move(Move),
}

impl UserCommand {
    /// Does it, and prints what came of it.
    ///
    /// # Errors
    /// It was not done.
    pub fn run_with(self, config: &Config) -> Result<(), CommandError> {
        match self {
            Self::Users(command) => command.run(&config.common.data_dir),
            Self::Admins(command) => command.run(&config.common.data_dir),
            Self::Migrate => migrate::migrate(config),
            Self::Move(moving) => moving.run(config),
        }
    }
}

/// The commands of the binary `user_service`.
#[derive(Clone, Debug, Subcommand)]
pub enum UserBinaryCommand {
    /// Those that standalone has, too.
    #[command(flatten)]
    Service(UserCommand),
    /// Check whether the users, their checksum and the log fit each other; changes nothing
    ///
    /// It works while the service runs and while it does not, and says of each problem what would repair
    /// it. `auth_service check --against FILE` compares what --json prints with a projection.
    Check {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

impl ServiceCommand<BinaryConfig> for UserBinaryCommand {
    fn run(self, BinaryConfig { config, .. }: BinaryConfig) -> Result<(), CommandError> {
        match self {
            Self::Service(command) => command.run_with(&config),
            Self::Check { json } => check::check(&config, json),
        }
    }
}

/// `user_service`.
pub struct UserServiceBinary;

/// Its settings.
#[derive(Args, Clone, Debug)]
pub struct BinaryConfig {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    hashing: HashingArgs,
}

impl Application for UserServiceBinary {
    type Config = BinaryConfig;
    type Running = Running;
    type Command = UserBinaryCommand;
    const NAME: &'static str = "user_service";
    const ABOUT: &'static str = "Creates, reads, renames and deletes users";
    const DATA: &'static [ServiceData] = &[DATA];

    fn common(config: &BinaryConfig) -> &CommonConfig {
        &config.config.common
    }

    fn hashing(config: &BinaryConfig) -> &HashingArgs {
        &config.hashing
    }

    fn problems(BinaryConfig { config, hashing }: &BinaryConfig) -> Vec<String> {
        let missing = BrokerMissing::in_config(&config.common.bus).map(|error| error.to_string());
        let UserServiceConfig { user_service_access, auth_service_url, .. } = &config.service;
        let lacks_url = *user_service_access == Access::Owner && auth_service_url.is_none();
        let lacks_url =
            lacks_url.then(|| "USER_SERVICE_ACCESS=owner needs AUTH_SERVICE_URL".to_owned());
        let missing = missing.into_iter().chain(lacks_url).collect();
        [config.problems(), hashing.problems(), missing].concat()
    }

    fn probes(config: &BinaryConfig) -> Vec<&ListenAddress> {
        vec![config.config.service.probes_listen()]
    }

    fn not_in_files(config: &BinaryConfig) -> Option<&'static str> {
        config.config.service.database.not_in_files()
    }

    async fn start(
        BinaryConfig { config, hashing }: BinaryConfig,
        capacity: Capacity,
        bus: Option<AmqpBus>,
    ) -> Result<Running, Box<dyn Error>> {
        let bus = Arc::new(bus.ok_or(BrokerMissing)?);
        let mut registry = registry_of("user_service");
        let metrics = HashingMetrics::register(&mut registry);
        let hashing = HashingConfig::from_args(&hashing, capacity.hash_threads);
        let hashing = HashingThreads::start(hashing, metrics)?;
        let place = claim(&config, config.layout()).await?;
        let store = config.store(&place.directory)?;
        let auth_service = AuthServiceAddress::from(config.service.auth_service_url.clone());
        let clock = Clock::system();
        let deps = Deps { place, store, bus, hashing, capacity, clock, registry, auth_service };
        Ok(start(config, deps).await?)
    }

    async fn stop(running: Running) {
        running.stop().await;
    }
}

fn wrong(error: &(dyn Error + 'static)) -> CommandError {
    CommandError::new(exit::CONFIG, ErrorChain(error).to_string())
}
