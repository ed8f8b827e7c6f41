//! A network that fails on demand.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The current state of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    /// Forwards.
    Fair,
    /// Accepts data and holds it back; connections stay open.
    Stalled,
    /// Closes open connections, and new ones at once.
    Cut,
    /// Connections that were open before are closed towards the client, and stay open towards the
    /// server.
    HalfOpen,
}

/// The state that connections watch.
#[derive(Clone, Copy)]
struct Network {
    weather: Weather,
    /// How often it was cut: a connection must not survive a cut that was healed at once.
    cuts: u64,
    /// Where new connections go.
    target: SocketAddr,
}

/// A proxy between a client and a server on this machine. Dropping it closes all its connections.
pub struct TcpProxy {
    port: u16,
    network: watch::Sender<Network>,
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
        let (network, watched) =
            watch::channel(Network { weather: Weather::Fair, cuts: 0, target });
        let accepting = tokio::spawn(accept(listener, watched));
        Self { port, network, accepting }
    }

    /// Its address on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections, and new ones at once.
    pub fn cut(&self) {
        self.network.send_modify(|network| {
            network.weather = Weather::Cut;
            network.cuts += 1;
        });
    }

    /// Forwards new connections to another server, as an address does that moves with its service.
    pub fn redirect(&self, target: SocketAddr) {
        self.network.send_modify(|network| network.target = target);
    }

    /// Forwards nothing more; neither side is notified.
    pub fn stall(&self) {
        self.network.send_modify(|network| network.weather = Weather::Stalled);
    }

    /// Closes all connections towards the client, as a restart of its machine would, while the
    /// server sees them as open until [`Self::heal`]. New connections are forwarded.
    pub fn half_open(&self) {
        self.network.send_modify(|network| {
            network.weather = Weather::HalfOpen;
            network.cuts += 1;
        });
    }

    /// Forwards again, including the data that [`Self::stall`] held back.
    pub fn heal(&self) {
        self.network.send_modify(|network| network.weather = Weather::Fair);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, network: watch::Receiver<Network>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(join(client, network.clone()));
    }
}

/// Forwards both ways until either side or the network ends it.
async fn join(client: TcpStream, network: watch::Receiver<Network>) {
    let mut until_cut = network.clone();
    let Network { weather, cuts, target } = *network.borrow();
    if weather == Weather::Cut {
        return;
    }
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    {
        let mut client = client;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            _ = until_cut.wait_for(|now| now.cuts > cuts) => {}
            () = forward(from_client, to_server, network.clone()) => return,
            () = forward(from_server, to_client, network.clone()) => return,
        }
    }
    // The client's side is closed; the server's side stays open as long as the network state says
    // so.
    let is_over = |now: &Network| now.weather != Weather::HalfOpen || now.cuts > cuts + 1;
    let mut unheard = vec![0; 64 * 1024];
    tokio::select! {
        _ = until_cut.wait_for(is_over) => {}
        () = async { while let Ok(1..) = server.read(&mut unheard).await {} } => {}
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut network: watch::Receiver<Network>,
) {
    let forwards = |now: &Network| matches!(now.weather, Weather::Fair | Weather::HalfOpen);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        if network.wait_for(forwards).await.is_err()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
}
