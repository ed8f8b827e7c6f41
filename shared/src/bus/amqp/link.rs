//! How connections are made.

use std::future::Future;
use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, DefaultConnectionBuilder};
use secrecy::ExposeSecret;

use super::{AmqpConfig, InvalidAmqpUrl};
use crate::bus::BusError;

/// Both sides notice a dead connection within twice this time, in seconds.
const DEFAULT_HEARTBEAT: u16 = 10;

/// A broker that is starting may take a connection and forget it. One that works answers within
/// milliseconds, so it is better to try again soon.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// The largest frame, in bytes. lapin has two buffers of 32 frames for each connection: 8 MiB with the
/// 128 KiB that RabbitMQ offers. Longer bodies travel in several frames.
const DEFAULT_FRAME_MAX: u32 = 16 * 1024;

/// Makes connections to one broker for one purpose.
pub(super) struct Connector {
    /// Holds the runtime that was current when the bus was made: a connection must not end with
    /// the thread of whoever happened to need it first.
    builder: DefaultConnectionBuilder,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(config: &AmqpConfig, purpose: &str) -> Result<Self, InvalidAmqpUrl> {
        let mut uri: AMQPUri = config.url.expose_secret().parse().map_err(|_| InvalidAmqpUrl)?;
        uri.query.heartbeat.get_or_insert(DEFAULT_HEARTBEAT);
        uri.query.frame_max.get_or_insert(DEFAULT_FRAME_MAX);
        let name = format!("{}/{purpose}", config.connection_name);
        // lapin's default, no recovery of its own, is what we want.
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let builder = DefaultConnectionBuilder::new()
            .map_err(|_| InvalidAmqpUrl)?
            .with_uri(uri)
            .with_properties(properties);
        Ok(Self { builder, timeout: config.connect_timeout })
    }

    pub(super) async fn connect(&self) -> Result<Connection, BusError> {
        let connecting = async { Ok(self.builder.connect().await?) };
        bounded(self.timeout.min(HANDSHAKE_TIMEOUT), connecting).await
    }

    /// Gives the work no more than the time that connecting may take.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        bounded(self.timeout, work).await
    }
}

/// The work, or an error after so long.
pub(super) async fn bounded<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, BusError>>,
) -> Result<T, BusError> {
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(BusError::TimedOut(timeout)))
}
