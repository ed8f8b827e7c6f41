//! Servers that accept connections and do not behave like a broker.

use std::net::Ipv4Addr;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// AMQP's `Connection.Start`, by which a broker begins the handshake.
const START: &[u8] =
    b"\x01\0\0\0\0\0\x1c\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US\xce";

/// What it does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Sends nothing, like a frozen process.
    Silent,
    /// Closes it, like a proxy without a backend.
    Closing,
    /// Begins AMQP's handshake and falls silent.
    Stalling,
}

/// A server that listens until it is dropped.
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

    /// Its address on 127.0.0.1.
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
    // The connections end with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(hold(stream, manner));
        while connections.try_join_next().is_some() {}
    }
}

/// Waits until the client closes it.
async fn hold(mut stream: TcpStream, manner: Manner) {
    if manner == Manner::Closing {
        return;
    }
    if manner == Manner::Stalling && stream.write_all(START).await.is_err() {
        return;
    }
    let (mut reader, _writer) = stream.split();
    // It ignores what it reads.
    let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
}
