//! Single requests at a fixed rate, and how long each answer takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::raw_http::parse;

/// Pause between two requests: 100 per second.
const INTERVAL: Duration = Duration::from_millis(10);

/// Sends GET requests on one connection at a fixed rate. A request that must wait for the previous
/// answer is timed from the moment when it was due. Otherwise one slow answer would hide the delay
/// of the requests after it.
pub(crate) fn probe(
    at: SocketAddr,
    paths: &[String],
    header: &str,
    time: Duration,
) -> Vec<Duration> {
    let mut connection = TcpStream::connect(at).unwrap();
    connection.set_nodelay(true).unwrap();
    let mut times = Vec::new();
    let mut due = Instant::now();
    let end = due + time;
    for path in paths.iter().cycle() {
        let now = Instant::now();
        if now >= end {
            break;
        }
        let since = if now < due {
            thread::sleep(due - now);
            Instant::now()
        } else {
            due
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n{header}\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        read_answer(&mut connection);
        times.push(since.elapsed());
        due += INTERVAL;
    }
    times
}

/// Reads one complete answer with status 200.
fn read_answer(connection: &mut TcpStream) {
    let mut answer = Vec::with_capacity(1024);
    let mut chunk = [0; 4096];
    let head = loop {
        let count = connection.read(&mut chunk).unwrap();
        assert!(count > 0, "the connection was closed");
        answer.extend_from_slice(&chunk[..count]);
        if let Some(head) = parse(&answer) {
            break head;
        }
    };
    assert_eq!(head.status, 200);
}
