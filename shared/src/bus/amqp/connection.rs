//! One connection, and how its socket is closed.
//!
//! lapin reads and writes on a separate thread, and its handshake has no time limit. If its future
//! is dropped, the thread and the socket stay for as long as the other side is silent. So the
//! socket is opened here, and shut down by the code that gives the connection up. Then the thread
//! reads the end of the stream and ends, too.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use lapin::protocol::constants::REPLY_SUCCESS;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::runtime::default_runtime;
use lapin::tcp::TLSConfig;
use lapin::types::ShortString;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, ConnectionStatus};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::bus::BusError;

/// How long a broker may take to close a connection.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection. Dropping it closes it cleanly, or after 2 s without the broker's answer.
pub(super) struct OpenConnection {
    /// Shared with the task that closes it.
    connection: Arc<Connection>,
    /// Moves into the task that closes it.
    socket: Option<Socket>,
    runtime: Handle,
}

impl OpenConnection {
    /// Connects, encrypts for `amqps`, and logs in. Dropping the future closes the socket.
    pub(super) async fn open(
        uri: AMQPUri,
        properties: ConnectionProperties,
        runtime: Handle,
    ) -> Result<Self, BusError> {
        let lapins = {
            let _inside = runtime.enter();
            default_runtime()?
        };
        let (host, port) = (uri.authority.host.clone(), uri.authority.port);
        let addresses = lapins.to_socket_addrs((host.clone(), port));
        let stream = AsyncTcpStream::connect(&lapins, addresses).await?;
        let AsyncTcpStream::Plain(plain) = &stream else { return Err(BusError::Closed) };
        let socket = Socket::of(plain.get_ref())?;
        let stream = match uri.scheme {
            AMQPScheme::AMQP => stream,
            AMQPScheme::AMQPS => stream.into_tls(&host, TLSConfig::default()).await?,
        };
        // lapin asks only once, because it does not reconnect.
        let stream = Mutex::new(Some(stream));
        let hand_over = async move |_, _| {
            let taken = stream.lock().await.take();
            taken.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
        };
        let opening = Connection::connector(uri, lapins, hand_over, properties);
        let connection = Arc::new(opening.await.map_err(|error| refusal(&error))?);
        Ok(Self { connection, socket: Some(socket), runtime })
    }

    pub(super) fn status(&self) -> &ConnectionStatus {
        self.connection.status()
    }

    pub(super) async fn create_channel(&self) -> Result<Channel, BusError> {
        Ok(self.connection.create_channel().await?)
    }

    /// Closes the socket after an error, so that the broker returns unacknowledged deliveries to
    /// the queues at once.
    pub(super) fn give_up(&self) {
        if let Some(socket) = &self.socket {
            socket.shut_down();
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let (connection, socket) = (Arc::clone(&self.connection), self.socket.take());
        // If the runtime has ended, it drops the task, and with it the socket.
        self.runtime.spawn(async move {
            let closing = connection.close(REPLY_SUCCESS, ShortString::default());
            // On a timeout, or an error because it is closed already, the socket is closed all the
            // same.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
            drop(socket);
        });
    }
}

/// A second handle of a connection's socket.
struct Socket(TcpStream);

impl Socket {
    fn of(stream: &impl AsFd) -> io::Result<Self> {
        Ok(Self(stream.as_fd().try_clone_to_owned()?.into()))
    }

    fn shut_down(&self) {
        // It fails if the other side has closed it already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl From<io::Error> for BusError {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error.to_string().into())
    }
}

/// An error of the handshake: a broker that refuses closes the connection.
fn refusal(error: &lapin::Error) -> BusError {
    let lapin::ErrorKind::ProtocolError(said) = error.kind() else { return error.clone().into() };
    match said.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => BusError::LoginRefused,
        AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => {
            BusError::VirtualHostRefused(said.get_message().to_string().into())
        }
        _ => BusError::Unreachable(said.to_string().into()),
    }
}
