//! Servers that take connections and do not do what is expected of a broker.

use std::net::Ipv4Addr;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// AMQP's `Connection.Start`, with which a broker begins the handshake.
const START: &[u8] =
    b"\x01\0\0\0\0\0\x1c\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US\xce";

/// What it does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Says nothing, as a process that is frozen.
    Silent,
    /// Closes it, as a proxy without a backend.
    Closing,
    /// Begins AMQP's handshake and goes silent.
    Stalling,
}

/// Listens until it is dropped.
pub struct MuteServer {
    port: u16,
    accepting: JoinHandle<()>,
}

impl MuteServer {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// It cannot listen.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        Self { port, accepting: tokio::spawn(accept(listener, manner)) }
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for MuteServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, manner: Manner) {
    // They end with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(hold(stream, manner));
        while connections.try_join_next().is_some() {}
    }
}

/// Until the client closes it.
async fn hold(mut stream: TcpStream, manner: Manner) {
    if manner == Manner::Closing {
        return;
    }
    if manner == Manner::Stalling && stream.write_all(START).await.is_err() {
        return;
    }
    let (mut reader, _writer) = stream.split();
    // What it hears, it does not heed.
    let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
}
