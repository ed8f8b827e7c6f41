//! One HTTP request to another service, on a connection of its own that ends with the answer.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::{DirectError, DirectUrl};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an answer may take to arrive completely.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of an answer: several times what a follower gives credit for.
pub(super) const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// What is sent.
#[derive(Clone, Debug, Default)]
pub struct PlainRequest {
    /// GET, POST and so on.
    pub method: &'static str,
    /// The path with its query.
    pub path: Cow<'static, str>,
    /// Names and values; `Host` is added.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// Empty if there is none.
    pub body: Bytes,
}

/// What comes back, whatever its status is.
#[derive(Clone, Debug)]
pub struct PlainAnswer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values; those that are not ASCII are left out.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

impl DirectUrl {
    /// Sends a request to the first address of the host that answers.
    ///
    /// # Errors
    /// See [`DirectError`]. An answer with any status is no error.
    pub async fn exchange(&self, request: PlainRequest) -> Result<PlainAnswer, DirectError> {
        let host = self.bare_host();
        let stream = self.connect(TcpStream::connect((host, self.port))).await?;
        self.exchange_on(stream, request).await
    }

    /// Sends a request to one of the [`DirectUrl::addresses`].
    ///
    /// # Errors
    /// As for [`DirectUrl::exchange`].
    pub async fn exchange_at(
        &self,
        address: SocketAddr,
        request: PlainRequest,
    ) -> Result<PlainAnswer, DirectError> {
        let stream = self.connect(TcpStream::connect(address)).await?;
        self.exchange_on(stream, request).await
    }

    /// All addresses of the host: behind the name of a scaled service, one for each replica.
    ///
    /// # Errors
    /// The name has no address, or cannot be looked up in time.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, DirectError> {
        let found = self.connect(lookup_host((self.bare_host(), self.port))).await?;
        let mut addresses: Vec<_> = found.collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    /// Brackets belong to the URL of an IPv6 address, not to the address.
    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    async fn connect<T>(
        &self,
        connecting: impl Future<Output = io::Result<T>>,
    ) -> Result<T, DirectError> {
        let connected = self.within(CONNECT_TIMEOUT, connecting).await?;
        connected.map_err(|source| DirectError::Unreachable { url: self.clone(), source })
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, DirectError> {
        timeout(limit, work).await.map_err(|_| DirectError::TimedOut { url: self.clone(), limit })
    }

    async fn exchange_on(
        &self,
        stream: TcpStream,
        request: PlainRequest,
    ) -> Result<PlainAnswer, DirectError> {
        self.within(ANSWER_TIMEOUT, self.send(stream, request)).await?
    }

    async fn send(
        &self,
        stream: TcpStream,
        request: PlainRequest,
    ) -> Result<PlainAnswer, DirectError> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let PlainRequest { method, path, headers, body } = request;
        let mut builder = Request::builder().method(method).uri(&*path);
        builder = builder.header(HOST, format!("{}:{}", self.host, self.port));
        for (name, value) in headers {
            builder = builder.header(&*name, value);
        }
        let request =
            builder.body(Full::new(body)).map_err(|error| DirectError::Unreadable(error.into()))?;
        let answering = async { read(sender.send_request(request).await?).await };
        // The connection moves the bytes while the answer is awaited, and ends with it.
        tokio::select! {
            answer = answering => answer,
            Err(error) = connection => Err(error.into()),
        }
    }
}

async fn read(answer: Response<hyper::body::Incoming>) -> Result<PlainAnswer, DirectError> {
    let status = answer.status().as_u16();
    let headers = answer.headers().iter();
    let headers = headers.filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    let headers = headers.collect();
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
    let body = body.map_err(DirectError::Unreadable)?.to_bytes();
    Ok(PlainAnswer { status, headers, body })
}
