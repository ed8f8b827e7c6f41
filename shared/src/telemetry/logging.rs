//! Log lines: structured, on standard output, written by a thread of their own.

use std::str::FromStr;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Directive;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json"),
        }
    }
}

/// Writes what is left when it is dropped: keep it until the end of `main`.
#[must_use]
pub struct LogGuard(#[expect(dead_code, reason = "kept for its Drop")] WorkerGuard);

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// Not a filter like `info` or `warn,auth_service=debug`.
    #[error("LOG is not a filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// It was set up before in this process.
    #[error("logging is set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Lines of lapin about messages that came back hold their payloads.
const SILENCED: [&str; 1] = ["lapin=error"];
/// How many lines may wait for the disk or terminal before further ones are dropped.
const LINES_WAITING: usize = 100_000;

/// Sets up the log of this process: the one thing that is global, because the panic hook and
/// every library write to it. Called by `main` alone. Panics are logged too.
///
/// # Errors
/// See [`LoggingError`].
pub fn init_logging(filter: &str, format: LogFormat) -> Result<LogGuard, LoggingError> {
    let mut filter = EnvFilter::builder().parse(filter)?;
    for silenced in SILENCED {
        filter = filter.add_directive(Directive::from_str(silenced)?);
    }
    // Lossy: a terminal that hangs must not hang the service.
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING)
        .finish(std::io::stdout());
    let builder = fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => builder.with_ansi(false).finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    log_panics();
    Ok(LogGuard(guard))
}

fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let reason = panic.payload_as_str().unwrap_or("no reason given");
        tracing::error!(location, reason, "panicked");
    }));
}
