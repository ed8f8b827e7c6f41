//! How connections are made.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use lapin::ConnectionProperties;
use lapin::uri::AMQPUri;
use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::connection::OpenConnection;
use super::pace::Pace;
use super::{AmqpConfig, InvalidAmqpUrl, hosts};
use crate::actors::GrowingPause;
use crate::bus::BusError;

/// Both sides notice a dead connection within twice this time, in seconds.
const DEFAULT_HEARTBEAT: u16 = 10;

/// A broker that is starting may accept a connection and forget it. A broker that works answers
/// within milliseconds, so it is better to try again soon. A slow one gets twice the time after each
/// timeout.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest time.
const HANDSHAKE_TIMEOUT_MAX: Duration = Duration::from_secs(16);

/// The largest frame, in bytes: what RabbitMQ accepts from publishers by default. A message's
/// headers are never split, so a connection with smaller frames cannot receive what others may
/// send. lapin has two rings of 32 frames for each connection; only the pages that were used cost
/// memory.
const FRAME_MAX: u32 = 128 * 1024;

/// Makes connections for one purpose to one broker, or to the first node of a cluster that answers.
pub(super) struct Connector {
    /// At least one.
    nodes: Vec<Node>,
    properties: ConnectionProperties,
    /// The runtime that was current when the bus was made: a connection must not end with the
    /// thread of the caller that needed it first.
    runtime: Handle,
    timeout: Duration,
    /// Spaces out attempts while they fail.
    pace: Pace,
}

/// A node of the broker.
struct Node {
    uri: AMQPUri,
    /// How long its handshake may take next time.
    patience: watch::Sender<GrowingPause>,
}

impl Connector {
    pub(super) fn new(config: &AmqpConfig, purpose: &str) -> Result<Self, InvalidAmqpUrl> {
        let mut nodes = Vec::new();
        for mut uri in hosts::parse(config.url.expose_secret())? {
            uri.query.heartbeat.get_or_insert(DEFAULT_HEARTBEAT);
            uri.query.frame_max.get_or_insert(FRAME_MAX);
            let patience = watch::Sender::new(GrowingPause::new(HANDSHAKE_TIMEOUT));
            nodes.push(Node { uri, patience });
        }
        let name = format!("{}/{purpose}", config.connection_name);
        Ok(Self {
            nodes,
            // lapin's default, no automatic recovery, is what we want.
            properties: ConnectionProperties::default().with_connection_name(name.into()),
            runtime: Handle::current(),
            timeout: config.connect_timeout,
            pace: Pace::default(),
        })
    }

    /// Opens a connection. During the pause after a failure it returns the last error.
    pub(super) async fn connect(&self) -> Result<OpenConnection, BusError> {
        self.pace.check()?;
        let connected = self.connect_to_any().await;
        self.pace.note(connected.as_ref().err());
        connected
    }

    /// Tries each node once, starting at a random one, so that not all clients choose the same.
    async fn connect_to_any(&self) -> Result<OpenConnection, BusError> {
        let first = usize::try_from(RandomState::new().hash_one(()) >> 1).unwrap_or_default();
        let mut last = BusError::Closed;
        for step in 0..self.nodes.len() {
            let node = &self.nodes[(first % self.nodes.len() + step) % self.nodes.len()];
            match self.connect_to(node).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_to(&self, node: &Node) -> Result<OpenConnection, BusError> {
        let mut patience = *node.patience.borrow();
        let timeout = patience.take(HANDSHAKE_TIMEOUT_MAX);
        let connecting =
            OpenConnection::open(node.uri.clone(), self.properties.clone(), self.runtime.clone());
        let connected = bounded(timeout, connecting).await;
        if !matches!(connected, Err(BusError::TimedOut(_))) {
            patience.reset();
        }
        node.patience.send_replace(patience);
        connected
    }

    /// Bounds the work by the connection timeout.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        bounded(self.timeout, work).await
    }
}

/// The result of the work, or an error after the timeout.
pub(super) async fn bounded<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, BusError>>,
) -> Result<T, BusError> {
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(BusError::TimedOut(timeout)))
}
