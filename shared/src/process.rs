//! What every binary does the same way: log, reach the broker, wait for a signal, exit.

use std::error::Error;
use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::bus::{AmqpBus, AmqpConfig};
use crate::config::{BusConfig, CommonConfig};
use crate::telemetry::{LogGuard, init_logging};

/// How long the broker may take to confirm one batch of events.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connecting to the broker may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The exit code for a call that cannot work, as clap's own.
const EXIT_USAGE: u8 = 2;

/// A binary that is one of two processes was started without a broker: they could not meet.
#[derive(Debug, thiserror::Error)]
#[error("AMQP_URL (or AMQP_URL_FILE) is missing; the binary `standalone` needs no broker")]
pub struct BrokerMissing;

/// Sets up the log as the settings say. Keep the guard until the end of `main`.
///
/// # Errors
/// `LOG` or `LOG_FORMAT` cannot be used.
pub fn start_logging(config: &CommonConfig) -> Result<LogGuard, Box<dyn Error>> {
    Ok(init_logging(&config.log, config.log_format.parse()?)?)
}

/// The bus of the broker that the settings name, if they name one. It connects when it is used.
///
/// # Errors
/// The URL or its file cannot be used.
pub fn amqp_bus(config: &BusConfig, name: &str) -> Result<Option<AmqpBus>, Box<dyn Error>> {
    let Some(url) = config.url()? else { return Ok(None) };
    Ok(Some(AmqpBus::new(&AmqpConfig {
        url,
        connection_name: name.to_owned(),
        confirm_timeout: CONFIRM_TIMEOUT,
        connect_timeout: CONNECT_TIMEOUT,
    })?))
}

/// Ends when the process is asked to stop: SIGTERM, or SIGINT from a terminal.
///
/// # Errors
/// The signals cannot be caught.
pub fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// What `main` returns; an error is told with all that was behind it.
#[expect(clippy::print_stderr, reason = "the log may not be set up, and this ends the process")]
pub fn exit_code(binary: &str, outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let mut text = format!("{binary}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    eprintln!("{text}");
    if error.is::<BrokerMissing>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
}
