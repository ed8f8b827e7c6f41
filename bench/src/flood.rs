//! Sends logins at a fixed rate, whatever happens to earlier ones: an overload.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::raw_http::{Head, parse};

/// Pause between two bursts.
const TICK: Duration = Duration::from_millis(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The answer to one login.
pub(crate) struct Answer {
    pub(crate) head: Head,
    /// The time since the request was sent.
    pub(crate) after: Duration,
}

/// Idle connections; the one that has been idle the longest is used next.
#[derive(Clone, Default)]
struct Idle(Rc<RefCell<VecDeque<TcpStream>>>);

/// Sends `per_s` logins per second during `time`, and waits for all answers.
pub(crate) async fn flood(at: SocketAddr, per_s: f64, time: Duration, users: i64) -> Vec<Answer> {
    let (idle, started) = (Idle::default(), Instant::now());
    let (mut running, mut sent) = (Vec::new(), 0_i64);
    while started.elapsed() < time {
        while (sent as f64) < started.elapsed().as_secs_f64() * per_s {
            sent += 1;
            let login = log_in(at, idle.clone(), 1 + sent % users);
            running.push(actix_web::rt::spawn(timeout(PATIENCE, login)));
        }
        tokio::time::sleep(TICK).await;
    }
    let mut answers = Vec::new();
    for login in running {
        answers.push(login.await.unwrap().expect("a login is answered"));
    }
    answers
}

async fn log_in(at: SocketAddr, idle: Idle, user: i64) -> Answer {
    let body = format!(r#"{{"username":"user{user}","password":"testpassword"}}"#);
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let sent = Instant::now();
    let waiting = idle.0.borrow_mut().pop_front();
    let mut connection = match waiting {
        Some(connection) => connection,
        None => TcpStream::connect(at).await.unwrap(),
    };
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::with_capacity(2048);
    let head = loop {
        let count = connection.read_buf(&mut answer).await.unwrap();
        assert!(count > 0, "the connection was closed");
        if let Some(head) = parse(&answer) {
            break head;
        }
    };
    idle.0.borrow_mut().push_back(connection);
    Answer { head, after: sent.elapsed() }
}
