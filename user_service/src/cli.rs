//! This service as a separate binary.

mod users;

use std::error::Error;
use std::sync::Arc;

use clap::Args;
use shared::backup::ServiceData;
use shared::bus::AmqpBus;
use shared::capacity::Capacity;
use shared::cli::{Application, BrokerMissing};
use shared::clock::Clock;
use shared::config::{CommonConfig, HashingArgs, ListenAddress};
use shared::hashing::{HashingConfig, HashingMetrics, HashingThreads};
use shared::telemetry::Registry;

use crate::config::{Access, Config, UserServiceConfig};
use crate::{AuthServiceAddress, DATA, Deps, Running, start};

pub use users::UserCommand;

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
    type Command = UserCommand;
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

    fn listens(config: &BinaryConfig) -> Vec<&ListenAddress> {
        vec![&config.config.service.user_service_listen]
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
        let mut registry = Registry::default();
        let metrics = HashingMetrics::register(&mut registry);
        let hashing = HashingConfig::from_args(&hashing, capacity.hash_threads);
        let hashing = HashingThreads::start(hashing, metrics)?;
        let store = config.store()?;
        let auth_service = AuthServiceAddress::from(config.service.auth_service_url.clone());
        let clock = Clock::system();
        let deps = Deps { store, bus, hashing, capacity, clock, registry, auth_service };
        Ok(start(config, deps).await?)
    }

    async fn stop(running: Running) {
        running.stop().await;
    }
}
