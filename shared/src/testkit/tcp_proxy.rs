//! A network that fails when told to.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the network does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    /// Forwards.
    Fair,
    /// Takes what is sent and keeps it; connections stay open.
    Stalled,
    /// Closes what is open, and whatever connects.
    Cut,
}

/// Stands between a client and a server on this machine. It ends, with all its connections, when it
/// is dropped.
pub struct TcpProxy {
    port: u16,
    weather: watch::Sender<Weather>,
    accepting: JoinHandle<()>,
}

impl TcpProxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `target`.
    ///
    /// # Panics
    /// It cannot listen.
    pub async fn start(target: SocketAddr) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port for the proxy");
        let port = listener.local_addr().expect("the proxy's own address").port();
        let (weather, forecast) = watch::channel(Weather::Fair);
        let accepting = tokio::spawn(accept(listener, target, forecast));
        Self { port, weather, accepting }
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections, and new ones at once.
    pub fn cut(&self) {
        self.weather.send_replace(Weather::Cut);
    }

    /// Forwards nothing more; nobody is told.
    pub fn stall(&self) {
        self.weather.send_replace(Weather::Stalled);
    }

    /// Forwards again, also what was held back by [`Self::stall`].
    pub fn heal(&self) {
        self.weather.send_replace(Weather::Fair);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, weather: watch::Receiver<Weather>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(join(client, target, weather.clone()));
    }
}

/// Forwards both ways until either side or the network ends it.
async fn join(client: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>) {
    let mut until_cut = weather.clone();
    let forwarding = async {
        let Ok(server) = TcpStream::connect(target).await else { return };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = forward(from_client, to_server, weather.clone()) => {}
            () = forward(from_server, to_client, weather) => {}
        }
    };
    tokio::select! {
        _ = until_cut.wait_for(|now| *now == Weather::Cut) => {}
        () = forwarding => {}
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        if weather.wait_for(|now| *now == Weather::Fair).await.is_err()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
}
