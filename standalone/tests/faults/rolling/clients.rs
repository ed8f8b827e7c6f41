//! Clients that live through everything that an account goes through, and try each request once more if it fails.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use awc::http::Method;
use serde_json::{Value, json};

use super::proxy::Addresses;
use crate::replicas::http::{Http, Reply};

const CLIENTS: usize = 4;
const PASSWORD: &str = "testpassword";
/// Between two requests of a client.
const THINK: Duration = Duration::from_millis(5);
/// Before a request is tried again, if the answer does not say how long.
const PAUSE: Duration = Duration::from_millis(100);
const KINDS: [&str; 8] =
    ["create", "read", "rename", "login", "verify", "refresh", "logout", "delete"];

/// Clients at work, on a thread of their own.
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

impl Clients {
    /// Starts them. No other clients may have the prefix.
    pub(super) fn start(at: Addresses, prefix: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let client = |number| {
                    let (name, stop) = (format!("{prefix}{number}n"), Arc::clone(&stopping));
                    let client =
                        Client { http: Http::new(), at, name, stop, tally: Tally::default() };
                    actix_web::rt::spawn(client.run())
                };
                let running: Vec<_> = (0..CLIENTS).map(client).collect();
                let mut tally = Tally::default();
                for client in running {
                    tally.join(client.await.unwrap());
                }
                tally
            })
        });
        Self { stop, thread }
    }

    /// Ends them; what they have begun is finished first.
    pub(super) fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// What came of all requests.
#[derive(Default)]
pub(super) struct Tally {
    counts: BTreeMap<&'static str, Count>,
    failures: Vec<String>,
}

#[derive(Default)]
struct Count {
    requests: u64,
    /// How many of them were tried once more.
    retries: u64,
    /// How many of them failed all the same.
    failures: u64,
    /// How long the slowest took, with its retry.
    longest: Duration,
}

impl Tally {
    /// What a client with one retry has noticed.
    pub(super) fn failures(&self) -> &[String] {
        &self.failures
    }

    pub(super) fn has_all_kinds(&self) -> bool {
        KINDS.iter().all(|kind| self.counts.contains_key(kind))
    }

    fn join(&mut self, other: Self) {
        for (kind, other) in other.counts {
            let count = self.counts.entry(kind).or_default();
            count.requests += other.requests;
            count.retries += other.retries;
            count.failures += other.failures;
            count.longest = count.longest.max(other.longest);
        }
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<8}{:>10}{:>9}{:>10}{:>14}",
            "", "requests", "retries", "failures", "longest (ms)"
        )?;
        for (kind, Count { requests, retries, failures, longest }) in &self.counts {
            let longest = longest.as_millis();
            writeln!(f, "{kind:<8}{requests:>10}{retries:>9}{failures:>10}{longest:>14}")?;
        }
        Ok(())
    }
}

/// A request that may be sent again.
struct Request {
    kind: &'static str,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
    /// The status of a good answer.
    expected: u16,
    /// The same the second time, when the first may have done it.
    expected_again: Vec<u16>,
}

impl Request {
    fn new(kind: &'static str, method: Method, path: &str, expected: u16) -> Self {
        let (headers, body, expected_again) = (Vec::new(), None, vec![expected]);
        Self { kind, method, path: path.to_owned(), headers, body, expected, expected_again }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    fn key(self, key: &str) -> Self {
        self.header("idempotency-key", format!("\"{key}\""))
    }

    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    fn or_again(mut self, status: u16) -> Self {
        self.expected_again.push(status);
        self
    }
}

struct Client {
    http: Http,
    at: Addresses,
    /// How the names of its users begin.
    name: String,
    stop: Arc<AtomicBool>,
    tally: Tally,
}

impl Client {
    async fn run(mut self) -> Tally {
        for number in 1.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            // After a failure, which is counted, it goes on with another account.
            let _ = self.live(&format!("{}{number}", self.name)).await;
        }
        self.tally
    }

    /// The life of an account, up to the first failure.
    async fn live(&mut self, name: &str) -> Option<()> {
        let person = |name: &str| json!({"username": name, "password": PASSWORD});
        let create = Request::new("create", Method::POST, "/users", 201).key(name);
        let created = self.ask(create.body(person(name))).await?;
        let user = format!("/users/{}", created.body["id"]);
        self.ask(Request::new("read", Method::GET, &user, 200)).await?;
        let new_name = format!("{name}r");
        let rename = Request::new("rename", Method::PUT, &user, 200);
        let renamed = self.ask(rename.body(json!({"username": new_name}))).await?;

        let written = renamed.header("consistency-token").unwrap();
        let login = Request::new("login", Method::POST, "/login", 200);
        let login = login.header("consistency-token", written).body(person(&new_name));
        let first = token_of(&self.ask(login).await?);
        self.ask(Request::new("verify", Method::GET, "/verify", 200).bearer(&first)).await?;
        let refresh = Request::new("refresh", Method::POST, "/refresh", 200);
        let second = token_of(&self.ask(refresh.bearer(&first).key(name)).await?);
        for token in [&first, &second] {
            self.ask(Request::new("verify", Method::GET, "/verify", 200).bearer(token)).await?;
        }
        let logout = Request::new("logout", Method::POST, "/logout", 200);
        self.ask(logout.bearer(&second).or_again(401)).await?;
        self.ask(Request::new("delete", Method::DELETE, &user, 200).or_again(404)).await?;
        Some(())
    }

    /// Sends a request, and once more if it was not answered or the service could not; `None` if that did not
    /// help either.
    async fn ask(&mut self, request: Request) -> Option<Reply> {
        tokio::time::sleep(THINK).await;
        let (begun, mut retries) = (Instant::now(), 0);
        let mut outcome = self.send(&request, &[request.expected]).await;
        if let Err(Failed { is_worth_a_retry: true, told, pause }) = outcome {
            retries = 1;
            tokio::time::sleep(pause).await;
            outcome = self.send(&request, &request.expected_again).await;
            if let Err(again) = &mut outcome {
                again.told = format!("{told}, then {}", again.told);
            }
        }
        let count = self.tally.counts.entry(request.kind).or_default();
        count.requests += 1;
        count.retries += retries;
        count.failures += u64::from(outcome.is_err());
        count.longest = count.longest.max(begun.elapsed());
        let complain = |failed: Failed| {
            self.tally.failures.push(format!("{} {}: {}", request.kind, request.path, failed.told));
        };
        outcome.map_err(complain).ok()
    }

    async fn send(&self, request: &Request, expected: &[u16]) -> Result<Reply, Failed> {
        let Request { method, path, headers, body, .. } = request;
        let at = if path.starts_with("/users") { self.at.users } else { self.at.auth };
        let reply = self.http.send(method.clone(), (at, path), headers, body.as_ref()).await;
        if expected.contains(&reply.status) { Ok(reply) } else { Err(Failed::from(&reply)) }
    }
}

/// A request that did not get the answer that was expected.
struct Failed {
    is_worth_a_retry: bool,
    pause: Duration,
    told: String,
}

impl From<&Reply> for Failed {
    fn from(reply: &Reply) -> Self {
        let seconds = reply.header("retry-after").and_then(|value| value.parse().ok());
        Self {
            is_worth_a_retry: reply.status == 0 || reply.status >= 500,
            pause: seconds.map_or(PAUSE, Duration::from_secs),
            told: format!("{} {}", reply.status, reply.body["detail"]),
        }
    }
}

fn token_of(reply: &Reply) -> String {
    reply.body["token"].as_str().unwrap().to_owned()
}
