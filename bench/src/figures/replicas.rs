//! Three replicas of auth_service: how soon a logout counts at the others, what it costs, how soon
//! one more replica is ready, and what many ended sessions take.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::rabbitmq::free_port;
use testkit::sample::{Sample, median};

use super::{ROUNDS, ended_sessions};
use crate::fleet::Fleet;
use crate::floors::lapin_pair::LapinPair;
use crate::raw_http::Client;
use crate::system::{Service, post, token, until_login_gives};
use crate::table::{Figure, Wanted};
use crate::wrk::{Load, Script, Wrk, finish};

/// The users of the fleet.
pub(crate) const USERS: i64 = 1;
const REPLICAS: usize = 3;
/// Logouts of each kind in a round.
const LOGOUTS: usize = 200;
/// Pause between two logouts.
const PAUSE: Duration = Duration::from_millis(10);
/// Pause between two questions whether a token is still taken.
const POLL: Duration = Duration::from_micros(200);
/// How long a logout may take to be known.
const BOUND: Duration = Duration::from_secs(30);
/// The load at each replica: together three times as many clients as in other figures.
const STORM: Load = Load(32, Duration::from_secs(12));
/// How long sessions are ended during it.
const AMID: Duration = Duration::from_secs(10);
/// The storm begins before the first logout.
const MARGIN: Duration = Duration::from_secs(1);
/// The approximate size of a sealed record, including headers.
const RECORD_SIZE: usize = 400;

pub(crate) async fn measure(wrk: &Wrk) -> Vec<Figure> {
    let fleet = Fleet::start(REPLICAS).await;
    let mut figures = logouts(&fleet, wrk).await;
    figures.push(one_more(&fleet).await);
    figures.extend(ended_sessions::measure(fleet).await);
    figures
}

/// One logout: the times since it was sent.
struct Logout {
    answered: Duration,
    /// The last of the other replicas refuses the token.
    refused: Duration,
}

/// The logouts of a kind, over all rounds.
#[derive(Default)]
struct Logouts {
    answered: Vec<Duration>,
    refused: Vec<Duration>,
}

impl Logouts {
    fn add(&mut self, round: Vec<Logout>) {
        for Logout { answered, refused } in round {
            self.answered.push(answered);
            self.refused.push(refused);
        }
    }

    fn refused_figure(&self, name: &'static str) -> Figure {
        let (refused, answered) =
            (Sample::of_times(&self.refused), Sample::of_times(&self.answered));
        Figure {
            name,
            value: refused.quantile(0.99),
            unit: " ms",
            wanted: Wanted::AtMost(50.0),
            detail: format!(
                "p50 {:.2} ms; answered p50 {:.2} ms, p99 {:.2} ms; {:.0} logouts",
                refused.median(),
                answered.median(),
                answered.quantile(0.99),
                refused.count(),
            ),
        }
    }
}

async fn logouts(fleet: &Fleet, wrk: &Wrk) -> Vec<Figure> {
    let alone = Alone::start().await;
    let (mut idle, mut stormy) = (Logouts::default(), Logouts::default());
    let (mut by_one, mut by_floor, mut one, mut floor) =
        <(Vec<f64>, Vec<_>, Vec<_>, Vec<_>)>::default();
    for _ in 0..ROUNDS {
        let bare = bare_confirm(fleet).await;
        let in_one_process = alone.log_out_all().await;
        let round = log_out_all(fleet, &tokens(fleet.replicas[0].address).await);
        let ours = median(round.iter().map(|logout| logout.answered.as_secs_f64() * 1e3));
        by_one.push(ours / in_one_process);
        by_floor.push(ours / bare);
        one.push(in_one_process);
        floor.push(bare);
        idle.add(round);
        stormy.add(amid_logins(fleet, wrk).await);
    }
    let ours = Sample::of_times(&idle.answered).median();
    vec![
        idle.refused_figure("logout to refused by all of 3 replicas, p99"),
        stormy.refused_figure("logout to refused by all of 3 replicas amid logins, p99"),
        Figure {
            name: "logout with 3 replicas / in one process, p50",
            value: median(by_one),
            unit: "",
            wanted: Wanted::AtMost(10.0),
            detail: format!("{ours:.2} ms, in one process {:.2} ms", median(one)),
        },
        Figure {
            name: "logout with 3 replicas / bare confirmed publish, p50",
            value: median(by_floor),
            unit: "",
            wanted: Wanted::AtMost(3.0),
            detail: format!("{ours:.2} ms, bare {:.2} ms", median(floor)),
        },
    ]
}

/// The time until a single message is confirmed, in milliseconds.
async fn bare_confirm(fleet: &Fleet) -> f64 {
    let pair = LapinPair::connect(&fleet.broker.url(), RECORD_SIZE).await;
    pair.one_by_one(LOGOUTS / 2).await.confirmed.median()
}

async fn amid_logins(fleet: &Fleet, wrk: &Wrk) -> Vec<Logout> {
    let tokens = tokens(fleet.replicas[0].address).await;
    let storm = |replica: &Service| wrk.start(replica.address, Script::Login, STORM, USERS);
    let storms: Vec<_> = fleet.replicas.iter().map(storm).collect();
    thread::sleep(MARGIN);
    let (started, mut tokens) = (Instant::now(), tokens.iter());
    let round = log_out_while(fleet, || tokens.next().filter(|_| started.elapsed() < AMID));
    for storm in storms {
        finish(storm);
    }
    round
}

/// Tokens of as many sessions as a round ends.
async fn tokens(auth: SocketAddr) -> Vec<String> {
    let mut tokens = Vec::new();
    for _ in 0..LOGOUTS {
        tokens.push(token(auth).await);
    }
    tokens
}

fn log_out_all(fleet: &Fleet, tokens: &[String]) -> Vec<Logout> {
    let mut tokens = tokens.iter();
    log_out_while(fleet, || tokens.next())
}

/// Logs out at the first replica, as long as there is a next token.
fn log_out_while<'a>(fleet: &Fleet, mut next: impl FnMut() -> Option<&'a String>) -> Vec<Logout> {
    let connect = |replica: &Service| Client::connect(replica.address);
    let mut clients: Vec<Client> = fleet.replicas.iter().map(connect).collect();
    let mut round = Vec::new();
    while let Some(token) = next() {
        thread::sleep(PAUSE);
        round.push(log_out(&mut clients, token));
    }
    round
}

/// Logs out at the first replica, while the others are asked again and again.
fn log_out(clients: &mut [Client], token: &str) -> Logout {
    let header = bearer(token);
    let (here, others) = clients.split_first_mut().unwrap();
    let all_take_it = Barrier::new(others.len() + 1);
    let watch = &|client: &mut Client| {
        assert_eq!(client.ask("GET", "/verify", &header).status, 200);
        all_take_it.wait();
        until_refused(client, &header)
    };
    thread::scope(|scope| {
        let watching: Vec<_> =
            others.iter_mut().map(|client| scope.spawn(move || watch(client))).collect();
        all_take_it.wait();
        let sent = Instant::now();
        assert_eq!(here.ask("POST", "/logout", &header).status, 200);
        let answered = sent.elapsed();
        let refused = watching.into_iter().map(|watch| watch.join().unwrap()).max().unwrap();
        Logout { answered, refused: refused - sent }
    })
}

/// When the refusal arrived.
fn until_refused(client: &mut Client, header: &str) -> Instant {
    let started = Instant::now();
    while client.ask("GET", "/verify", header).status != 401 {
        assert!(started.elapsed() < BOUND, "a token that was logged out is taken");
        thread::sleep(POLL);
    }
    Instant::now()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Both services in one process.
struct Alone {
    service: Service,
    _directory: TempDir,
}

impl Alone {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let users = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let settings = [("USER_SERVICE_LISTEN", &*users.to_string())];
        let service = Service::start_with("standalone", directory.path(), &settings).await;
        assert_eq!(post(users, "/users", "user1").await.0, 201);
        until_login_gives(service.address, "user1", 200).await;
        Self { service, _directory: directory }
    }

    /// The median time of a logout, in milliseconds.
    async fn log_out_all(&self) -> f64 {
        let tokens = tokens(self.service.address).await;
        let mut client = Client::connect(self.service.address);
        let log_out = |token: &String| {
            thread::sleep(PAUSE);
            let sent = Instant::now();
            assert_eq!(client.ask("POST", "/logout", &bearer(token)).status, 200);
            sent.elapsed()
        };
        Sample::of_times(&tokens.iter().map(log_out).collect::<Vec<_>>()).median()
    }
}

/// A replica with an empty place is started beside the others, several times.
async fn one_more(fleet: &Fleet) -> Figure {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut replica = fleet.start_replica().await;
        times.push(replica.ready_after.as_secs_f64() * 1e3);
        replica.stop();
        std::fs::remove_dir_all(fleet.place(REPLICAS + 1)).unwrap();
    }
    Figure {
        name: "start of a new replica beside 3 to /readyz",
        value: median(times),
        unit: " ms",
        wanted: Wanted::AtMost(3000.0),
        detail: "it waits 2 s for answers".to_owned(),
    }
}
