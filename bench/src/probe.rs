//! Single requests at a fixed rate, and how long each answer takes.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::raw_http::Client;

/// Pause between two requests: 100 per second.
const INTERVAL: Duration = Duration::from_millis(10);

/// Sends GET requests on one connection at a fixed rate. A request that must wait for the previous
/// answer is timed from the moment when it was due. Otherwise one slow answer would hide the delay
/// of the requests after it.
pub(crate) fn probe(
    at: SocketAddr,
    paths: &[String],
    headers: &str,
    time: Duration,
) -> Vec<Duration> {
    let mut client = Client::connect(at);
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
        assert_eq!(client.ask("GET", path, headers).status, 200);
        times.push(since.elapsed());
        due += INTERVAL;
    }
    times
}
