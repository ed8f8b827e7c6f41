//! Requests and answers as bytes: clients that cost almost nothing beside the services.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The parts of an answer that a client needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) has_retry_after: bool,
}

/// One connection, on which a request is sent when the one before is answered.
pub(crate) struct Client {
    at: SocketAddr,
    connection: TcpStream,
}

impl Client {
    pub(crate) fn connect(at: SocketAddr) -> Self {
        let connection = TcpStream::connect(at).unwrap();
        connection.set_nodelay(true).unwrap();
        Self { at, connection }
    }

    /// Sends a request without a body. `headers` are whole lines.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &str) -> Head {
        self.send(method, path, headers, "")
    }

    /// Changes a user's name.
    pub(crate) fn rename(&mut self, id: i64, username: &str) -> Head {
        let body = format!(r#"{{"username":"{username}"}}"#);
        let length = body.len();
        let headers = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        self.send("PUT", &format!("/users/{id}"), &headers, &body)
    }

    fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Head {
        let at = self.at;
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\n{headers}\r\n{body}");
        self.connection.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::with_capacity(1024);
        let mut chunk = [0; 4096];
        loop {
            let count = self.connection.read(&mut chunk).unwrap();
            assert!(count > 0, "the connection was closed");
            answer.extend_from_slice(&chunk[..count]);
            if let Some(head) = parse(&answer) {
                return head;
            }
        }
    }
}

/// The answer, once it is complete, including its body.
pub(crate) fn parse(answer: &[u8]) -> Option<Head> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(body) = response.parse(answer).unwrap() else { return None };
    let value = |name: &str| {
        let found =
            response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let length: usize = value("content-length").unwrap().parse().unwrap();
    let head =
        Head { status: response.code.unwrap(), has_retry_after: value("retry-after").is_some() };
    (answer.len() >= body + length).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_the_last_byte_of_its_body() {
        let whole =
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\ncontent-length: 2\r\n\r\nno";
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        assert_eq!(parse(whole), Some(Head { status: 503, has_retry_after: true }));
    }
}
