//! Log lines: structured, on standard output, written by a separate thread.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::str::FromStr;

use clap::ValueEnum;
use tracing::Dispatch;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{Directive, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use super::batching_writer::BatchingWriter;
use super::json_lines::JsonLines;
use super::line_time::LineTime;
use super::plain_fields::PlainFields;
use crate::clock::Clock;

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Writes the remaining lines when it is dropped: keep it until the end of `main`.
#[must_use]
pub struct LogGuard(#[expect(dead_code, reason = "kept for its Drop")] WorkerGuard);

/// Logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// Not a filter like `info` or `warn,auth_service=debug`.
    #[error("LOG must be a level or a filter such as warn,auth_service=debug, not {0:?}")]
    Filter(String),
    /// The standard output cannot be used.
    #[error("the standard output cannot be used")]
    Output(#[from] io::Error),
    /// Logging was set up before in this process.
    #[error("logging is set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// lapin's lines about returned messages contain their payloads.
const SILENCED: [&str; 1] = ["lapin::returned_messages=off"];
/// Frameworks that repeat our own lines at `info`, or log faults of clients at `error`. A filter
/// that names them shows them.
const QUIET: &str = "actix_http=off,actix_server=warn,lapin=off,rusqlite_migration=warn";
/// How many lines may wait for the disk or terminal before further ones are dropped. The queue is
/// allocated at the start, with 32 bytes per line.
const LINES_WAITING: usize = 16_384;

/// Sets up the log of this process. It is the only global state, because the panic hook and every
/// library write to it. Called only by `main`. Panics are logged, too.
///
/// # Errors
/// See [`LoggingError`].
pub fn init_logging(filter: &str, format: LogFormat) -> Result<LogGuard, LoggingError> {
    let filter = parse_filter(filter)?;
    // Lossy: a terminal that hangs must not block the service.
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING)
        .finish(BatchingWriter::new(standard_output()?));
    formatted(filter, format, writer).try_init()?;
    log_panics();
    Ok(LogGuard(guard))
}

/// The log of a command that asks no service: on standard error, because the answer is on standard output.
///
/// # Errors
/// The filter is not valid.
pub(crate) fn log_of_command(filter: &str, format: LogFormat) -> Result<Dispatch, LoggingError> {
    Ok(formatted(parse_filter(filter)?, format, io::stderr))
}

/// Lines of this form, written to `writer`.
fn formatted(
    filter: EnvFilter,
    format: LogFormat,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> Dispatch {
    let time = LineTime(Clock::system());
    // What could not be written is not told on standard error: that may be what cannot be written to.
    let builder = fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    match format {
        LogFormat::Text => {
            let builder = builder.with_timer(time).with_ansi(false);
            builder.fmt_fields(PlainFields).finish().into()
        }
        LogFormat::Json => {
            let builder = builder.fmt_fields(JsonFields::new());
            builder.event_format(JsonLines(time)).finish().into()
        }
    }
}

/// Bypasses the standard library's buffer, which writes each line separately.
fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Whether [`init_logging`] accepts the filter.
///
/// # Errors
/// The filter is not valid.
pub fn check_filter(filter: &str) -> Result<(), LoggingError> {
    parse_filter(filter).map(drop)
}

fn parse_filter(text: &str) -> Result<EnvFilter, LoggingError> {
    let refused = || LoggingError::Filter(text.to_owned());
    // The library takes a word that is no level for the name of a module, and silences everything
    // else.
    let is_level = |part: &str| !part.is_empty() && LevelFilter::from_str(part).is_ok();
    let is_directive = |part: &&str| part.contains(['=', '[']) || is_level(part);
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if !parts.iter().all(is_directive) {
        return Err(refused());
    }
    let text = format!("{QUIET},{}", parts.join(","));
    let mut filter = EnvFilter::builder().parse(text).map_err(|_| refused())?;
    for silenced in SILENCED {
        filter = filter.add_directive(Directive::from_str(silenced).map_err(|_| refused())?);
    }
    Ok(filter)
}

fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let reason = panic.payload_as_str().unwrap_or("no reason given");
        tracing::error!(location, reason, "panicked");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_and_targets() {
        for good in ["info", "OFF", "warn,auth_service=debug", "info, access=off"] {
            assert!(parse_filter(good).is_ok(), "{good}");
        }
        for bad in ["", "bogus", "info,bogus", "a=bogus", "info,,"] {
            assert!(parse_filter(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn frameworks_are_quiet_unless_they_are_asked_for() {
        assert!(parse_filter("info").unwrap().to_string().contains("actix_http=off"));
        let asked = parse_filter("info,actix_http=debug").unwrap().to_string();
        assert!(asked.contains("actix_http=debug") && !asked.contains("actix_http=off"), "{asked}");
    }
}
