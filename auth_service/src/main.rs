//! The binary: settings, wiring, signals.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::signal::unix::{SignalKind, signal};
use auth_service::config::Config;
use auth_service::{Deps, start};
use clap::{Parser, Subcommand};
use shared::bus::{AmqpBus, AmqpConfig};
use shared::clock::Clock;
use shared::config::{HashingArgs, cores};
use shared::hashing::{HashParams, HashingConfig, HashingMetrics, PasswordHasher};
use shared::telemetry::{Registry, init_logging};

/// How long the broker may take to confirm one batch of events.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connecting to the broker may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The exit code for a call that cannot work, as clap's own.
const EXIT_USAGE: u8 = 2;

/// Logs users of user_service in and out
#[derive(Parser)]
#[command(name = "auth_service", version)]
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
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Healthcheck) => {
            let listen = cli.config.service.auth_service_listen;
            shared::http::healthcheck(listen).await.map_err(Into::into)
        }
        Some(Command::Serve) | None => serve(cli.config, &cli.hashing).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(error.as_ref());
            let is_usage = error.is::<BrokerMissing>();
            if is_usage { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// This binary is one of two processes: without a broker they could not meet.
#[derive(Debug, thiserror::Error)]
#[error("AMQP_URL (or AMQP_URL_FILE) is missing; the binary `standalone` needs no broker")]
struct BrokerMissing;

async fn serve(config: Config, hashing: &HashingArgs) -> Result<(), Box<dyn Error>> {
    let url = config.common.bus.url()?.ok_or(BrokerMissing)?;
    let _log = init_logging(&config.common.log, config.common.log_format.parse()?)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let bus = AmqpBus::new(&AmqpConfig {
        url,
        connection_name: "auth_service".into(),
        confirm_timeout: CONFIRM_TIMEOUT,
        connect_timeout: CONNECT_TIMEOUT,
    })?;
    let mut registry = Registry::default();
    let metrics = HashingMetrics::register(&mut registry);
    let hasher = PasswordHasher::launch(hashing_config(hashing), metrics)?;
    let deps = Deps { bus: Arc::new(bus), hasher, clock: Clock::system(), registry };
    let running = start(config, deps).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    Ok(())
}

fn hashing_config(args: &HashingArgs) -> HashingConfig {
    HashingConfig {
        params: HashParams {
            memory_kib: args.argon2_memory_kib,
            iterations: args.argon2_iterations,
            parallelism: args.argon2_parallelism,
        },
        threads: args.hash_threads.map_or_else(cores, usize::from),
        queue: args.hash_queue.into(),
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be set up, and this ends the process")]
fn tell(error: &dyn Error) {
    eprint!("auth_service: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprint!(": {cause}");
        source = cause.source();
    }
    eprintln!();
}
