//! `serve`, the default subcommand: from the settings to the exit.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use super::settings::Settings;
use super::{Application, Failure, problems, signals};
use crate::bus::{AmqpBus, AmqpConfig};
use crate::capacity::Planned;
use crate::config::BusConfig;
use crate::secrets::warn_if_open;
use crate::telemetry::{LogFormat, init_logging};

/// How long the broker may take to confirm one batch of events.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connecting to the broker may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts the services, waits for a signal, and stops them.
///
/// # Errors
/// They cannot start.
pub(super) fn serve<A: Application>(
    settings: Settings<A::Config, A::Command>,
) -> Result<(), Failure> {
    actix_web::rt::System::new().block_on(async {
        let mut problems = problems::<A>(&settings.cli.config);
        let common = A::common(&settings.cli.config);
        let planned = Planned::new(A::SERVICES, common, A::hashing(&settings.cli.config));
        problems.extend(planned.problems());
        let config = settings.into_config(problems)?;
        let common = A::common(&config);
        let log_format = common.log_format;
        let _log = init_logging(&common.log, log_format).map_err(Failure::other)?;
        let bus = amqp_bus(&common.bus, A::NAME).map_err(Failure::Other)?;
        let mut stop_asked = signals::listen().map_err(Failure::other)?;
        let capacity = planned.take().map_err(Failure::other)?;
        let starting = A::start(config, capacity, bus);
        let running = tokio::select! {
            started = starting => started.map_err(Failure::Other)?,
            _ = &mut stop_asked => return Ok(()),
        };
        if let (LogFormat::Text, Some(greeting)) = (log_format, A::greeting(&running)) {
            greet(&greeting);
        }
        // An error means that the signal thread has ended.
        let _ = stop_asked.await;
        A::stop(running).await;
        Ok(())
    })
}

/// The bus of the broker in the settings, if there is one. It connects at first use.
fn amqp_bus(config: &BusConfig, name: &str) -> Result<Option<AmqpBus>, Box<dyn Error>> {
    let Some(url) = config.url()? else { return Ok(None) };
    config.amqp_url_file.iter().for_each(|path| warn_if_open(path));
    Ok(Some(AmqpBus::new(&AmqpConfig {
        url,
        connection_name: name.to_owned(),
        confirm_timeout: CONFIRM_TIMEOUT,
        connect_timeout: CONNECT_TIMEOUT,
    })?))
}

/// For the person who has just started it, whatever `LOG` is.
fn greet(text: &str) {
    // Nobody may read the output any more, and the services serve all the same.
    let _ = writeln!(io::stdout(), "{text}");
}
