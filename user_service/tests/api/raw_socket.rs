//! Requests and answers as bytes.

use std::time::Duration;

use serde_json::Value;
use testkit::wait::within;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::test_app::TestApp;

/// Long enough for a slow machine.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

pub(crate) async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.address).await.unwrap()
}

/// A request that creates a user, with these additional header lines.
pub(crate) fn create(name: &str, headers: &str) -> String {
    let body = format!(r#"{{"username":"{name}","password":"testpassword"}}"#);
    let length = body.len();
    format!(
        "POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

pub(crate) fn read_user(headers: &str) -> String {
    format!("GET /users/1 HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

/// An answer, as it was sent.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl RawAnswer {
    pub(crate) fn assert_problem(&self, status: u16, slug: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("\r\ncontent-type: application/problem+json\r\n"), "{self:?}");
        assert!(self.head.contains("\r\nx-request-id: "), "{self:?}");
        assert!(self.head.contains("\r\ndate: "), "{self:?}");
        let document: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(document["type"], format!("/problems/{slug}"));
        assert_eq!(document["status"], status);
    }

    pub(crate) fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

/// Reads answers with a Content-Length until the service closes the connection.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Vec<RawAnswer> {
    let mut bytes = Vec::new();
    within("the end of the connection", BOUND, stream.read_to_end(&mut bytes)).await.unwrap();
    let mut rest = String::from_utf8(bytes).unwrap();
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let (answer, after) = split_answer(&rest).unwrap_or_else(|| panic!("{rest:?}"));
        answers.push(answer);
        rest = after;
    }
    answers
}

/// Reads one answer.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> RawAnswer {
    let mut text = String::new();
    loop {
        if let Some((answer, after)) = split_answer(&text) {
            assert_eq!(after, "", "nothing may follow");
            return answer;
        }
        let mut bytes = [0; 4096];
        let length = within("an answer", BOUND, stream.read(&mut bytes)).await.unwrap();
        assert!(length > 0, "the connection ended behind {text:?}");
        text.push_str(str::from_utf8(&bytes[..length]).unwrap());
    }
}

fn split_answer(text: &str) -> Option<(RawAnswer, String)> {
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let head = format!("{head}\r\n");
    let length = head.split_once("content-length: ").map_or("0", |(_, after)| after);
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let (body, after) = rest.split_at_checked(length)?;
    Some((RawAnswer { status, head, body: body.into() }, after.into()))
}

pub(crate) fn statuses(answers: &[RawAnswer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}
