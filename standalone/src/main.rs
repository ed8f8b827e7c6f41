//! The binary: both services in one process.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use shared::bus::{Bus, InProcessBus};
use shared::clock::Clock;
use shared::config::local_address;
use shared::process;
use standalone::{Config, Running, start};

/// Lockstep in one process: users, login and logout, with nothing to install
#[derive(Parser)]
#[command(name = "standalone", version)]
struct Cli {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default)
    Serve,
    /// Ask the running services whether they are ready; exit 0 if they are
    Healthcheck,
}

#[actix_web::main]
async fn main() -> ExitCode {
    let Cli { config, command } = Cli::parse();
    let outcome = match command {
        Some(Command::Healthcheck) => healthcheck(&config).await,
        Some(Command::Serve) | None => serve(&config).await,
    };
    process::exit_code("standalone", outcome)
}

async fn healthcheck(config: &Config) -> Result<(), Box<dyn Error>> {
    shared::http::healthcheck(config.user_service.user_service_listen).await?;
    Ok(shared::http::healthcheck(config.auth_service.auth_service_listen).await?)
}

async fn serve(config: &Config) -> Result<(), Box<dyn Error>> {
    let _log = process::start_logging(&config.common)?;
    let shutdown = process::shutdown_signal()?;
    let bus: Arc<dyn Bus> = match process::amqp_bus(&config.common.bus, "standalone")? {
        Some(bus) => Arc::new(bus),
        None => Arc::new(InProcessBus::new()),
    };
    let running = start(config, bus, Clock::system()).await?;
    say_what_to_try(&running);
    shutdown.await;
    running.stop().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "for the person who has just started it, whatever LOG is")]
fn say_what_to_try(running: &Running) {
    let users = local_address(running.user_service_address());
    let auth = local_address(running.auth_service_address());
    println!(
        r#"
Lockstep is running.
  user_service  http://{users}   its API: http://{users}/docs
  auth_service  http://{auth}   its API: http://{auth}/docs

Try it from another terminal:
  curl -i http://{users}/users -H 'Content-Type: application/json' \
       -d '{{"username":"testuser","password":"testpassword"}}'
  curl -i http://{auth}/login -H 'Content-Type: application/json' \
       -d '{{"username":"testuser","password":"testpassword"}}'
  curl -i -X POST http://{auth}/logout -H "Authorization: Bearer $TOKEN"

Stop it with Ctrl-C.
"#
    );
}
