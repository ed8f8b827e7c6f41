//! Concurrent clients that write to user_service, and remember what they were told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use awc::http::Method;
use serde_json::{Value, json};

use crate::history::{History, Outcome, User, Users};
use crate::random::Random;
use crate::replicas::http::Http;

const CLIENTS: usize = 6;
/// After that an answer is missing.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Between two writes of a client: some 200 writes a second, so that what collects while a broker
/// restarts is drained within the bound by unoptimized binaries on a busy machine.
const THINK: Duration = Duration::from_millis(20);
/// Before a client tries again after it got no answer.
const PAUSE: Duration = Duration::from_millis(30);
/// A client that has so many users deletes one of them.
const USERS_MAX: usize = 40;
/// How many names the clients quarrel about.
const CONTENDED_NAMES: usize = 12;

/// Clients at work, on a thread of their own.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<History>,
}

impl Load {
    /// Starts clients that change the users that are there and make new ones, whose names begin
    /// with `prefix`: no other load may have it. Each request goes to one of the addresses.
    pub(crate) fn start(at: &[SocketAddr], there: &Users, seed: u64, prefix: String) -> Self {
        Self::start_with_sessions(at, None, there, seed, prefix)
    }

    /// The same, and the clients log in and out at `auth` if it is given.
    pub(crate) fn start_with_sessions(
        at: &[SocketAddr],
        auth: Option<SocketAddr>,
        there: &Users,
        seed: u64,
        prefix: String,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, history, at) = (Arc::clone(&stop), History::on(there), at.to_vec());
        let thread = thread::spawn(move || {
            let clients = share(&history, CLIENTS).into_iter().enumerate().map(|(number, mine)| {
                let mut random = Random(seed.wrapping_add(number as u64));
                random.next();
                let prefix = format!("{prefix}c{number}");
                let (at, stop) = (at.clone(), Arc::clone(&stopping));
                ClientSeed { at, auth, mine, random, prefix, stop }
            });
            let clients: Vec<_> = clients.collect();
            actix_web::rt::System::new().block_on(async move {
                let running: Vec<_> =
                    clients.into_iter().map(|client| actix_web::rt::spawn(client.run())).collect();
                let mut all = history;
                for client in running {
                    all.join(client.await.unwrap());
                }
                all
            })
        });
        Self { stop, thread }
    }

    /// Ends it; writes in hand are finished first.
    pub(crate) fn stop(self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Each client has users of its own, so that the order of a user's changes is known.
fn share(history: &History, clients: usize) -> Vec<Vec<(i64, User)>> {
    let mut shares = vec![Vec::new(); clients];
    let living = history.outcomes.iter().filter_map(|(id, o)| Some((*id, o.acknowledged.clone()?)));
    for (number, user) in living.enumerate() {
        shares[number % clients].push(user);
    }
    shares
}

/// What came of a request.
enum Answer {
    Done(Value),
    /// 4xx.
    Refused(u16),
    /// It never left.
    NotSent,
    /// It may have been carried out.
    Unknown,
}

struct Client {
    http: awc::Client,
    at: Vec<SocketAddr>,
    /// Where it logs in and out, if it does.
    sessions: Option<(Http, SocketAddr)>,
    /// Users that this client may change.
    mine: Vec<(i64, User)>,
    random: Random,
    prefix: String,
    /// Counts the users it made.
    made: u64,
    stop: Arc<AtomicBool>,
    history: History,
}

impl Client {
    async fn run(mut self) -> History {
        while !self.stop.load(Ordering::Relaxed) {
            self.log_in_and_out().await;
            match self.random.below(100) {
                _ if self.mine.len() > USERS_MAX => self.delete().await,
                0..45 => self.create().await,
                45..75 => self.rename().await,
                75..80 => self.change_password().await,
                _ => self.delete().await,
            }
            tokio::time::sleep(THINK).await;
        }
        self.history
    }

    /// Repeats until there is an answer: the key makes that safe.
    async fn create(&mut self) {
        self.made += 1;
        let name = format!("{}n{}", self.prefix, self.made);
        let body = json!({"username": name, "password": password(1)});
        let mut is_uncertain = false;
        loop {
            match self.send(Method::POST, "/users", Some(&name), Some(&body)).await {
                Answer::Done(user) => {
                    let (id, created) = (user["id"].as_i64().unwrap(), User::created(&name));
                    self.history.outcomes.insert(id, Outcome::certain(Some(created.clone())));
                    self.mine.push((id, created));
                    return;
                }
                Answer::Refused(status) => {
                    let what = format!("creating {name} was refused with {status}");
                    return self.history.contradictions.push(what);
                }
                Answer::Unknown => is_uncertain = true,
                Answer::NotSent => {}
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if is_uncertain {
            self.history.uncertain_creations.push(name);
        }
    }

    async fn rename(&mut self) {
        let Some((id, user)) = self.take() else { return };
        self.made += 1;
        let name = if self.random.below(4) == 0 {
            format!("contended{}", self.random.below(CONTENDED_NAMES))
        } else {
            format!("{}r{}", self.prefix, self.made)
        };
        if name == user.username {
            return self.mine.push((id, user));
        }
        let (body, then) = (json!({"username": name}), user.renamed(&name));
        self.change(Method::PUT, id, user, Some(body), Some(then), &[409]).await;
    }

    async fn change_password(&mut self) {
        let Some((id, user)) = self.take() else { return };
        let then = user.with_next_password();
        let body = json!({"password": password(then.password_version),
                          "current_password": password(user.password_version)});
        self.change(Method::PUT, id, user, Some(body), Some(then), &[]).await;
    }

    async fn delete(&mut self) {
        let Some((id, user)) = self.take() else { return };
        self.change(Method::DELETE, id, user, None, None, &[]).await;
    }

    /// What it may be answered depends on the faults, but for a token that was logged out.
    async fn log_in_and_out(&mut self) {
        let Some((http, at)) = self.sessions.clone().filter(|_| !self.mine.is_empty()) else {
            return;
        };
        let (_, user) = self.random.pick(&self.mine);
        let password = password(user.password_version);
        let body = json!({"username": user.username, "password": password});
        let reply = http.call(Method::POST, (at, "/login"), None, Some(body)).await;
        let Some(token) = reply.body["token"].as_str() else { return };
        http.verify(at, token).await;
        if http.logout(at, token).await == 200 && http.verify(at, token).await == 200 {
            self.history.contradictions.push(format!("a token of {user:?} outlived its logout"));
        }
    }

    /// Takes the user out, so that it is forgotten unless somebody puts it back.
    fn take(&mut self) -> Option<(i64, User)> {
        let count = self.mine.len();
        (count > 0).then(|| self.mine.swap_remove(self.random.below(count)))
    }

    async fn change(
        &mut self,
        method: Method,
        id: i64,
        user: User,
        body: Option<Value>,
        then: Option<User>,
        expected: &[u16],
    ) {
        match self.send(method, &format!("/users/{id}"), None, body.as_ref()).await {
            Answer::Done(_) => {
                self.history.outcomes.insert(id, Outcome::certain(then.clone()));
                self.mine.extend(then.map(|then| (id, then)));
            }
            Answer::Unknown => {
                let outcome = Outcome { acknowledged: Some(user), uncertain: Some(then) };
                self.history.outcomes.insert(id, outcome);
                tokio::time::sleep(PAUSE).await;
            }
            Answer::NotSent => {
                self.mine.push((id, user));
                tokio::time::sleep(PAUSE).await;
            }
            Answer::Refused(status) => {
                if !expected.contains(&status) {
                    let what = format!("user {id}, {user:?}, was answered {status}");
                    self.history.contradictions.push(what);
                }
                self.mine.push((id, user));
            }
        }
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let at = self.random.pick(&self.at);
        let mut request = self.http.request(method, format!("http://{at}{path}"));
        if let Some(key) = key {
            request = request.insert_header(("idempotency-key", format!("\"{key}\"")));
        }
        let sent = match body {
            Some(body) => request.send_json(body).await,
            None => request.send().await,
        };
        let mut response = match sent {
            Ok(response) => response,
            // No connection came about. (`Connect` with another cause tells of one that broke.)
            Err(SendRequestError::Connect(ConnectError::Io(_))) => return Answer::NotSent,
            Err(_) => return self.unknown(),
        };
        let status = response.status().as_u16();
        let Ok(body) = response.body().await else { return self.unknown() };
        match status {
            200..300 => {
                self.history.acknowledged += 1;
                Answer::Done(serde_json::from_slice(&body).unwrap())
            }
            400..500 => {
                self.history.refused += 1;
                Answer::Refused(status)
            }
            _ => self.unknown(),
        }
    }

    fn unknown(&mut self) -> Answer {
        self.history.uncertain += 1;
        Answer::Unknown
    }
}

/// A client before it has come to its thread.
struct ClientSeed {
    at: Vec<SocketAddr>,
    auth: Option<SocketAddr>,
    mine: Vec<(i64, User)>,
    random: Random,
    prefix: String,
    stop: Arc<AtomicBool>,
}

impl ClientSeed {
    async fn run(self) -> History {
        let Self { at, auth, mine, random, prefix, stop } = self;
        let sessions = auth.map(|at| (Http::new(), at));
        let http = awc::Client::builder().timeout(TIMEOUT).finish();
        let history = History::default();
        Client { http, at, sessions, mine, random, prefix, made: 0, stop, history }.run().await
    }
}

/// Every user's password of this version.
pub(crate) fn password(version: i64) -> String {
    format!("password-{version}")
}
