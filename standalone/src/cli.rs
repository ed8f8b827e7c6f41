//! Both services as one binary.

use std::error::Error;
use std::sync::Arc;

use auth_service::cli::AuthCommand;
use clap::Subcommand;
use shared::backup::ServiceData;
use shared::bus::{AmqpBus, Bus, InProcessBus};
use shared::capacity::Capacity;
use shared::cli::{Application, CommandError, ServiceCommand};
use shared::clock::Clock;
use shared::config::{CommonConfig, HashingArgs, ListenAddress, local_address};
use user_service::cli::UserCommand;

use crate::{Config, Running, check, start};

/// `standalone`.
pub struct StandaloneBinary;

/// The commands of both services.
#[derive(Subcommand)]
pub enum StandaloneCommand {
    /// Of auth_service.
    #[command(flatten)]
    Auth(AuthCommand),
    /// Of user_service.
    #[command(flatten)]
    User(UserCommand),
    /// Check the databases of both services, and whether they agree; changes nothing
    ///
    /// It works while the services run and while they do not, and says of each problem what would repair it.
    Check {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

impl ServiceCommand<Config> for StandaloneCommand {
    fn run(self, config: Config) -> Result<(), CommandError> {
        match self {
            Self::Auth(command) => command.run_in(&config.common.data_dir),
            Self::User(command) => command.run_with(&config.for_user_service()),
            Self::Check { json } => check::check(&config, json),
        }
    }
}

impl Application for StandaloneBinary {
    type Config = Config;
    type Running = Running;
    type Command = StandaloneCommand;
    const NAME: &'static str = "standalone";
    const ABOUT: &'static str =
        "Lockstep in one process: users, login and logout, with nothing to install";
    const SERVICES: u64 = 2;
    // The users last: a projection that is behind their log catches up, and one that is ahead of it
    // is loaded again as a whole.
    const DATA: &'static [ServiceData] = &[auth_service::DATA, user_service::DATA];

    fn common(config: &Config) -> &CommonConfig {
        &config.common
    }

    fn hashing(config: &Config) -> &HashingArgs {
        &config.hashing
    }

    fn problems(config: &Config) -> Vec<String> {
        let Config { common, hashing, user_service, auth_service } = config;
        let services = [user_service.problems(), auth_service.problems()].concat();
        [common.problems(), services, hashing.problems()].concat()
    }

    fn probes(config: &Config) -> Vec<&ListenAddress> {
        vec![config.user_service.probes_listen(), config.auth_service.probes_listen()]
    }

    fn not_in_files(config: &Config) -> Option<&'static str> {
        config.user_service.database.not_in_files()
    }

    async fn start(
        config: Config,
        capacity: Capacity,
        bus: Option<AmqpBus>,
    ) -> Result<Running, Box<dyn Error>> {
        let bus: Arc<dyn Bus> = match bus {
            Some(bus) => Arc::new(bus),
            None => Arc::new(InProcessBus::new()),
        };
        Ok(start(&config, capacity, bus, Clock::system()).await?)
    }

    /// Commands that a new user can try.
    fn greeting(running: &Running) -> Option<String> {
        let users = local_address(running.user_service_address());
        let auth = local_address(running.auth_service_address());
        Some(format!(
            r#"
Lockstep is running.
  user_service  http://{users}   its API: http://{users}/docs   to look at it: http://{users}/console
  auth_service  http://{auth}   its API: http://{auth}/docs

Try it from another terminal:
  curl -i http://{users}/users -H 'Content-Type: application/json' \
       -d '{{"username":"testuser","password":"testpassword"}}'
  curl -i http://{auth}/login -H 'Content-Type: application/json' \
       -d '{{"username":"testuser","password":"testpassword"}}'
  curl -i -X POST http://{auth}/logout -H "Authorization: Bearer $TOKEN"

Stop it with Ctrl-C.
"#
        ))
    }

    async fn stop(running: Running) {
        running.stop().await;
    }
}
