//! The binary: settings, wiring, signals.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use shared::clock::Clock;
use shared::config::HashingArgs;
use shared::hashing::{HashingMetrics, HashingThreads};
use shared::process::{self, BrokerMissing};
use shared::telemetry::Registry;
use user_service::config::Config;
use user_service::{Deps, start};

/// Creates, reads, renames and deletes users
#[derive(Parser)]
#[command(name = "user_service", version)]
struct Cli {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    hashing: HashingArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default)
    Serve,
    /// Ask the running service whether it is ready; exit 0 if it is
    Healthcheck,
}

#[actix_web::main]
async fn main() -> ExitCode {
    let Cli { config, hashing, command } = Cli::parse();
    let outcome = match command {
        Some(Command::Healthcheck) => {
            shared::http::healthcheck(config.service.user_service_listen).await.map_err(Into::into)
        }
        Some(Command::Serve) | None => serve(config, &hashing).await,
    };
    process::exit_code("user_service", outcome)
}

async fn serve(config: Config, hashing: &HashingArgs) -> Result<(), Box<dyn Error>> {
    let bus = process::amqp_bus(&config.common.bus, "user_service")?.ok_or(BrokerMissing)?;
    let _log = process::start_logging(&config.common)?;
    let shutdown = process::shutdown_signal()?;
    let mut registry = Registry::default();
    let metrics = HashingMetrics::register(&mut registry);
    let hashing = HashingThreads::start(hashing.into(), metrics)?;
    let store = config.store();
    let deps = Deps { store, bus: Arc::new(bus), hashing, clock: Clock::system(), registry };
    let running = start(config, deps).await?;
    shutdown.await;
    running.stop().await;
    Ok(())
}
