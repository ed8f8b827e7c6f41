//! user_service on PostgreSQL: writes of one, two and four processes, reads, the time to the event's
//! effect, memory, and how soon it goes on after its database or its publisher was killed.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use shared::postgres::Server;
use testkit::sample::{Sample, median};

use super::bus::{PAUSE, POLL, SINGLE};
use super::{ROUNDS, bus};
use crate::floors::commits::fdatasync;
use crate::floors::pgbench::Pgbench;
use crate::floors::select_handler;
use crate::raw_http::Client;
use crate::system::{Service, System, rename};
use crate::table::{Figure, Wanted};
use crate::user_processes::UserProcesses;
use crate::wrk::{Load, Script, Wrk, finish};

pub(crate) const USERS: i64 = 1_000;
/// How many clients write, whatever the number of processes.
const CLIENTS: u32 = 64;
const TIME: Duration = Duration::from_secs(3);
const PROCESSES: [usize; 3] = [1, 2, 4];
const READS: Load = Load(32, TIME);
/// The time after which a newly started service is idle, and a client is writing.
const REST: Duration = Duration::from_secs(2);
/// Pause between two writes while the database is down.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// How long a service may take to write again.
const BOUND: Duration = Duration::from_mins(1);

pub(crate) async fn measure(wrk: &Wrk) -> Vec<Figure> {
    let sqlite = System::start(USERS).await;
    let (mut system, pgbench) =
        UserProcesses::start(USERS, |database| Pgbench::prepare(database, USERS)).await;
    tokio::time::sleep(REST).await;
    let idle = system.processes[0].memory_mib();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(write(&mut system, &sqlite, &pgbench, wrk).await);
    }
    drop(sqlite);
    let mut figures = write_figures(&system, &rounds);
    figures.push(reads(&system, wrk));
    let ours = async |round| commit_to_applied(&system, round).await;
    figures.push(bus::delay(&system.broker, ours, "").await);
    figures.push(memory(&system, idle));
    figures.push(database_killed(&mut system).await);
    figures.push(publisher_killed(&mut system).await);
    figures
}

/// The writes of one round, in renames per second.
struct Writes {
    outbox: f64,
    groups_of_one: f64,
    sqlite: f64,
    /// By the number of processes.
    ours: [f64; PROCESSES.len()],
    /// How many changes one process committed at once.
    group: f64,
    /// In milliseconds.
    fdatasync: f64,
}

async fn write(
    system: &mut UserProcesses,
    sqlite: &System,
    pgbench: &Pgbench,
    wrk: &Wrk,
) -> Writes {
    let fdatasync = fdatasync(sqlite.directory.path()).median();
    let outbox = pgbench.outbox_per_s(&system.database, CLIENTS, TIME);
    let groups_of_one = pgbench.groups_of_one_per_s(&system.database, CLIENTS, TIME);
    let (at, load) = (sqlite.user_service.address, Load(CLIENTS, TIME));
    let of_sqlite = wrk.run(at, Script::Rename, load, USERS).good_per_s();
    sqlite.level().await;
    let before = counts(&system.processes[0]).await;
    let one = renames_per_s(system, PROCESSES[0], wrk).await;
    let after = counts(&system.processes[0]).await;
    let group = (after.0 - before.0) / (after.1 - before.1);
    let mut ours = [one; PROCESSES.len()];
    for (rate, number) in ours.iter_mut().zip(PROCESSES).skip(1) {
        *rate = renames_per_s(system, number, wrk).await;
    }
    system.set_number(1).await;
    Writes { outbox, groups_of_one, sqlite: of_sqlite, ours, group, fdatasync }
}

/// How many writes a process has committed, and in how many groups.
async fn counts(process: &Service) -> (f64, f64) {
    let count = async |name| process.metric(name).await.expect("it counts from its start");
    (count("lockstep_user_writes_total").await, count("lockstep_user_commits_total").await)
}

/// The clients are shared out among the processes.
async fn renames_per_s(system: &mut UserProcesses, number: usize, wrk: &Wrk) -> f64 {
    system.set_number(number).await;
    let load = Load(CLIENTS / u32::try_from(number).unwrap(), TIME);
    let start = |process: &Service| wrk.start(process.address, Script::Rename, load, USERS);
    let loads: Vec<_> = system.processes.iter().map(start).collect();
    let per_s = loads.into_iter().map(|load| finish(load).good_per_s()).sum();
    // auth_service must have caught up before something else is measured.
    system.level().await;
    per_s
}

fn write_figures(system: &UserProcesses, rounds: &[Writes]) -> Vec<Figure> {
    let of = |value: fn(&Writes) -> f64| median(rounds.iter().map(value));
    let figure = |name, value, wanted, detail| {
        let wanted = Wanted::AtLeast(wanted);
        Figure { name, value, unit: "", wanted, detail }
    };
    let version = system.database.sql("SHOW server_version");
    let first = format!(
        "{:.0}/s in groups of {:.0}, pgbench {:.0}/s; fdatasync {:.2} ms, PostgreSQL {version}",
        of(|round| round.ours[0]),
        of(|round| round.group),
        of(|round| round.outbox),
        of(|round| round.fdatasync),
    );
    vec![
        figure(
            "PUT /users/{id}, 1 process / pgbench as an outbox",
            of(|round| round.ours[0] / round.outbox),
            1.0,
            first,
        ),
        figure(
            "PUT /users/{id}, 2 processes / pgbench as an outbox",
            of(|round| round.ours[1] / round.outbox),
            1.0,
            format!("{:.0}/s", of(|round| round.ours[1])),
        ),
        figure(
            "PUT /users/{id}, 4 processes / pgbench as an outbox",
            of(|round| round.ours[2] / round.outbox),
            1.0,
            format!("{:.0}/s", of(|round| round.ours[2])),
        ),
        figure(
            "PUT /users/{id}, 1 process / pgbench in groups of one",
            of(|round| round.ours[0] / round.groups_of_one),
            2.0,
            format!("pgbench {:.0}/s", of(|round| round.groups_of_one)),
        ),
        figure(
            "PUT /users/{id}, 1 process on PostgreSQL / on SQLite",
            of(|round| round.ours[0] / round.sqlite),
            0.5,
            format!("SQLite {:.0}/s", of(|round| round.sqlite)),
        ),
    ]
}

fn reads(system: &UserProcesses, wrk: &Wrk) -> Figure {
    let url = system.database.url();
    let bare = select_handler::start(&url, &[]);
    let prepared = select_handler::start(&url, &["--prepared"]);
    let read = |at| wrk.run(at, Script::Read, READS, USERS).good_per_s();
    let (mut ours, mut floors, mut fastest) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(read(system.processes[0].address));
        floors.push(read(bare.address));
        fastest.push(read(prepared.address));
    }
    Figure {
        name: "GET /users/{id} / bare handler with the same SELECT",
        value: median(ours.iter().zip(&floors).map(|(ours, floor)| ours / floor)),
        unit: "",
        wanted: Wanted::AtLeast(0.8),
        detail: format!(
            "{:.0}/s, bare {:.0}/s, bare with a prepared statement {:.0}/s",
            median(ours),
            median(floors),
            median(fastest)
        ),
    }
}

/// Makes changes one by one, and takes the time from PostgreSQL's notification of each commit.
async fn commit_to_applied(system: &UserProcesses, round: usize) -> Sample {
    let url = system.database.url().into();
    let mut session = Server::new(&url, "bench").unwrap().connect().await.unwrap();
    session.run("LISTEN lockstep_log").await.unwrap();
    let (at, applied) = (system.processes[0].address, system.applied());
    let mut times = Vec::new();
    for n in 0..SINGLE {
        tokio::time::sleep(PAUSE).await;
        let before = applied.read();
        let name = format!("single{round}x{n}");
        let watching = async {
            session.notified().await.unwrap();
            let committed = Instant::now();
            while applied.read() == before {
                thread::sleep(POLL);
            }
            committed.elapsed()
        };
        let ((), time) = tokio::join!(rename(at, 1, &name), watching);
        times.push(time);
    }
    Sample::of_times(&times)
}

fn memory(system: &UserProcesses, idle: f64) -> Figure {
    Figure {
        name: "memory idle, user_service",
        value: idle,
        unit: " MiB",
        wanted: Wanted::AtMost(20.0),
        detail: format!("after the loads {:.1} MiB", system.processes[0].memory_mib()),
    }
}

/// The database is stopped as by a crash and started again at once, while a client writes.
async fn database_killed(system: &mut UserProcesses) -> Figure {
    let (mut times, mut recovered) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let is_down = Arc::new(OnceLock::new());
        let client = {
            let (at, is_down) = (system.processes[0].address, Arc::clone(&is_down));
            thread::spawn(move || write_until_back(at, round, &is_down))
        };
        tokio::time::sleep(REST).await;
        let killed = Instant::now();
        system.database.kill().await;
        is_down.set(Instant::now()).unwrap();
        system.database.restart().await;
        recovered.push(killed.elapsed());
        times.push(client.join().unwrap() - killed);
        system.level().await;
    }
    let (times, recovered) = (Sample::of_times(&times), Sample::of_times(&recovered));
    Figure {
        name: "PostgreSQL killed and started to the first write",
        value: times.median(),
        unit: " ms",
        wanted: Wanted::AtMost(3000.0),
        detail: format!(
            "at the most {:.0} ms; PostgreSQL answered after {:.0} ms",
            times.quantile(1.0),
            recovered.median()
        ),
    }
}

/// Writes again and again. Returns when the first write was answered with success that was sent
/// while the database was down, or later.
fn write_until_back(at: SocketAddr, round: usize, is_down: &OnceLock<Instant>) -> Instant {
    let (started, mut count) = (Instant::now(), 0);
    loop {
        count += 1;
        let sent = Instant::now();
        let answer = Client::connect(at).rename(1, &format!("back{round}x{count}"));
        let was_down = is_down.get().is_some_and(|down| *down <= sent);
        if was_down && answer.status == 200 {
            return Instant::now();
        }
        assert!(started.elapsed() < BOUND, "nothing is written: {answer:?}");
        thread::sleep(RETRY_PAUSE);
    }
}

/// Of two processes the one that publishes is killed, and the other one writes.
async fn publisher_killed(system: &mut UserProcesses) -> Figure {
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        system.set_number(2).await;
        let publisher = system.take_publisher().await;
        let killed = Instant::now();
        publisher.kill();
        rename(system.processes[0].address, 1, &format!("left{round}")).await;
        system.level().await;
        times.push(killed.elapsed());
    }
    let times = Sample::of_times(&times);
    Figure {
        name: "publisher killed to the other's first event applied",
        value: times.median(),
        unit: " ms",
        wanted: Wanted::AtMost(4000.0),
        detail: format!("at the most {:.0} ms; the lease is 3 s", times.quantile(1.0)),
    }
}
