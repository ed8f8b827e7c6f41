//! The direct way: one service asks the other over HTTP. A follower does while it cannot be served
//! through the broker; user_service does to learn whether a token is alive.
//!
//! The messages are those of the bus, with the same MACs ([`super::cloud_event`]): a question is the
//! body of a `POST`, and the answer has one message a line. Whoever can alter or record what passes
//! can delay and repeat it, and nothing else: an answer counts only with the nonce of the question
//! that is open.

mod exchange;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use hyper::{StatusCode, Uri};
use serde::{Deserialize, Serialize};

use super::{Delivery, Destination, Message, Outgoing};
use crate::traces::Step;

pub use exchange::{PlainAnswer, PlainRequest};

/// Where user_service takes questions and commands.
pub const SYNC_PATH: &str = "/internal/sync";
/// Where auth_service takes questions about tokens.
pub const TOKENS_PATH: &str = "/internal/tokens";

/// A message as one line of JSON.
#[derive(Serialize, Deserialize)]
struct Line {
    routing_key: String,
    id: String,
    kind: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// The message as one line, without the line's end.
pub fn to_line(Outgoing { to, message }: Outgoing) -> String {
    let routing_key = match to {
        Destination::Topic { routing_key, .. } => routing_key,
        Destination::Queue(name) => name,
    };
    let Message { id, kind, headers, body, .. } = message;
    // All bodies are JSON, so this changes nothing.
    let body = String::from_utf8_lossy(&body).into_owned();
    // Strings alone, so serialization cannot fail.
    serde_json::to_string(&Line { routing_key, id, kind, headers, body }).unwrap_or_default()
}

/// The message in a line, as it would be delivered by a bus.
///
/// # Errors
/// The line is not what [`to_line`] makes.
pub fn from_line(line: &[u8]) -> Result<Delivery, serde_json::Error> {
    let Line { routing_key, id, kind, headers, body } = serde_json::from_slice(line)?;
    let message = Message { id, kind, headers, body: body.into(), is_persistent: false };
    Ok(Delivery { message, routing_key, is_redelivered: false, tag: 0 })
}

/// The address of a service: `http://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectUrl {
    host: String,
    port: u16,
}

/// The text is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDirectUrl {
    /// Another scheme.
    #[error("only http:// is supported: for TLS, run a local proxy and name it here")]
    Scheme,
    /// No host, or more than a host and a port.
    #[error("must be http://HOST:PORT, without a user, a path or a query")]
    Form,
}

impl FromStr for DirectUrl {
    type Err = InvalidDirectUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDirectUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidDirectUrl::Form)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(InvalidDirectUrl::Scheme),
            None => return Err(InvalidDirectUrl::Form),
        }
        let authority = uri.authority().ok_or(InvalidDirectUrl::Form)?;
        let port = authority.port_u16();
        let has_only_a_port =
            authority.as_str().ends_with(authority.host()) || port.is_some_and(|port| port > 0);
        let is_plain = !authority.as_str().contains('@')
            && has_only_a_port
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none();
        if authority.host().is_empty() || !is_plain {
            return Err(InvalidDirectUrl::Form);
        }
        Ok(Self { host: authority.host().to_owned(), port: port.unwrap_or(80) })
    }
}

impl fmt::Display for DirectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl DirectError {
    /// One word for traces.
    fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timeout",
            Self::Broken(_) => "broken",
            Self::Refused(_) => "refused",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// No connection.
    #[error("{url} is unreachable")]
    Unreachable {
        /// The address.
        url: DirectUrl,
        /// The cause.
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("{url} did not answer within {limit:?}")]
    TimedOut {
        /// The address.
        url: DirectUrl,
        /// The limit.
        limit: Duration,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    /// Another status than 200.
    #[error("the service answered {0}: {hint}", hint = hint(*.0))]
    Refused(StatusCode),
    /// The body is too long, or its lines are not messages.
    #[error("the answer cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "give both services the same sealing keys",
        StatusCode::NOT_FOUND => "the URL does not lead to the service in this version",
        _ => "it may be overloaded",
    }
}

/// Asks a service; each question on a connection of its own, so that none outlives a restart.
#[derive(Clone, Debug)]
pub struct DirectClient {
    url: DirectUrl,
    path: &'static str,
}

impl DirectClient {
    /// A client for the service at this address, which takes questions at this path.
    pub fn new(url: DirectUrl, path: &'static str) -> Self {
        Self { url, path }
    }

    /// Sends a question, and returns the messages of the answer, in order. Closes the connection in
    /// any case.
    ///
    /// # Errors
    /// See [`DirectError`].
    pub async fn ask(&self, question: Outgoing) -> Result<Vec<Delivery>, DirectError> {
        let step = Step::call("POST", &self.url.host, self.path);
        let content_type = ("content-type".into(), "application/json".to_owned());
        let traceparent = step.as_ref().map(|step| ("traceparent".into(), step.traceparent()));
        let request = PlainRequest {
            method: "POST",
            path: self.path.into(),
            headers: [content_type].into_iter().chain(traceparent).collect(),
            body: to_line(question).into(),
        };
        let answered = self.url.exchange(request).await.and_then(|answer| read(&answer));
        if let (Some(step), Err(error)) = (step, &answered) {
            step.fail(error.kind());
        }
        answered
    }
}

fn read(answer: &PlainAnswer) -> Result<Vec<Delivery>, DirectError> {
    if answer.status != StatusCode::OK.as_u16() {
        let status = StatusCode::from_u16(answer.status);
        return Err(DirectError::Refused(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)));
    }
    let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(from_line)
        .collect::<Result<_, _>>()
        .map_err(|error| DirectError::Unreadable(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use testkit::mute_server::{Manner, MuteServer};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn question() -> Outgoing {
        let headers = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let (id, kind, body) = ("id".to_owned(), "kind".to_owned(), Bytes::from("{\"é\":\"\\n\"}"));
        let message = Message { id, kind, headers, body, is_persistent: false };
        Outgoing { to: Destination::Queue("questions".to_owned()), message }
    }

    #[test]
    fn a_message_is_the_same_after_its_way_in_a_line() {
        let line = to_line(question());
        assert!(!line.contains('\n'));
        let Delivery { message, routing_key, .. } = from_line(line.as_bytes()).unwrap();
        assert_eq!((message, routing_key.as_str()), (question().message, "questions"));
        assert!(from_line(b"{}").is_err() && from_line(b"\xff").is_err());
    }

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port() {
        for (text, expected) in [
            ("http://user_service:8001", "http://user_service:8001"),
            ("http://127.0.0.1", "http://127.0.0.1:80"),
            ("http://[::1]:8001/", "http://[::1]:8001"),
        ] {
            let url = text.parse::<DirectUrl>().map(|url| url.to_string());
            assert_eq!(url.as_deref(), Ok(expected), "{text}");
        }
        assert_eq!("https://a:1".parse::<DirectUrl>(), Err(InvalidDirectUrl::Scheme));
        for bad in [
            "",
            "a:1",
            "http://",
            "http://:80",
            "http://a:99999",
            "http://a:0",
            "http://a:x",
            "http://a:1/x",
            "http://a:1?x",
            "http://u@a:1",
            "http://a b:1",
            "/a",
        ] {
            assert_eq!(bad.parse::<DirectUrl>(), Err(InvalidDirectUrl::Form), "{bad}");
        }
    }

    /// What the client makes of a server that answers with these bytes and closes.
    async fn answer_to(answer: impl Into<Vec<u8>>) -> Result<Vec<Delivery>, DirectError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (client, answer) = (DirectClient::new(url, SYNC_PATH), answer.into());
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"POST /internal/sync HTTP/1.1\r\n"));
            // The client may have closed by then.
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            stream
        };
        let (outcome, mut stream) = tokio::join!(client.ask(question()), serving);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        outcome
    }

    #[tokio::test]
    async fn an_answer_has_a_message_in_each_line_and_the_connection_is_closed() {
        let line = to_line(question());
        let body = format!("{line}\n{line}\n");
        let head = "HTTP/1.1 200 OK\r\nContent-Length: ";
        let answer = format!("{head}{}\r\n\r\n{body}", body.len());
        let messages = answer_to(answer).await.unwrap();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[1].message, question().message);
        let none = answer_to("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        assert!(none.is_empty());
    }

    #[tokio::test]
    async fn whatever_else_a_server_answers_is_an_error() {
        let unauthorized = answer_to("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n").await;
        let text = unauthorized.unwrap_err().to_string();
        assert!(text.contains("401") && text.contains("the same sealing keys"), "{text}");
        let broken = [
            String::new(),
            "220 ready\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_owned(),
            format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(exchange::ANSWER_MAX + 1)),
        ];
        for answer in broken {
            assert!(
                answer_to(answer.clone()).await.is_err(),
                "{}",
                &answer[..answer.len().min(40)]
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_given_up() {
        let server = MuteServer::start(Manner::Silent).await;
        let url = format!("http://127.0.0.1:{}", server.port()).parse().unwrap();
        let outcome = DirectClient::new(url, SYNC_PATH).ask(question()).await;
        assert!(matches!(outcome, Err(DirectError::TimedOut { .. })), "{outcome:?}");
    }
}
