//! How much slower cheap requests get while logins use the whole machine.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use testkit::sample::{Sample, median};

use super::ROUNDS;
use crate::probe::probe;
use crate::system::System;
use crate::table::{Figure, Wanted};
use crate::wrk::{Load, Script, Wrk, finish};

const CLIENTS: u32 = 32;
const TIME: Duration = Duration::from_secs(4);
/// The load begins before and ends after the timed requests.
const MARGIN: Duration = Duration::from_secs(1);
/// Enough users that none is requested twice in a round.
const PATHS: i64 = 997;

pub(crate) async fn measure(system: &System, wrk: &Wrk) -> Vec<Figure> {
    let probes = [Probe::reads(system), Probe::verifications(system).await];
    let mut idle = [Vec::new(), Vec::new()];
    let mut busy = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        append(&mut idle, run(&probes));
        let load = Load(CLIENTS, TIME + 2 * MARGIN);
        let at = system.auth_service.address;
        let logins = wrk.start(at, Script::Login, load, system.users);
        thread::sleep(MARGIN);
        append(&mut busy, run(&probes));
        finish(logins);
    }
    let names =
        ["p99 of GET /users/{id} amid logins / idle", "p99 of GET /verify amid logins / idle"];
    names
        .into_iter()
        .zip(idle.iter().zip(&busy))
        .map(|(name, (idle, busy))| figure(name, idle, busy))
        .collect()
}

fn figure(name: &'static str, idle: &[Sample], busy: &[Sample]) -> Figure {
    let p99 = |samples: &[Sample]| median(samples.iter().map(|sample| sample.quantile(0.99)));
    let p50 = |samples: &[Sample]| median(samples.iter().map(Sample::median));
    Figure {
        name,
        value: p99(busy) / p99(idle),
        unit: "",
        wanted: Wanted::AtMost(3.0),
        detail: format!(
            "p99 {:.2} ms, idle {:.2} ms; p50 {:.2} ms, idle {:.2} ms",
            p99(busy),
            p99(idle),
            p50(busy),
            p50(idle)
        ),
    }
}

fn append(to: &mut [Vec<Sample>; 2], of_each: [Sample; 2]) {
    for (samples, sample) in to.iter_mut().zip(of_each) {
        samples.push(sample);
    }
}

struct Probe {
    at: SocketAddr,
    paths: Vec<String>,
    header: String,
}

impl Probe {
    fn reads(system: &System) -> Self {
        let step = (system.users / PATHS).max(1);
        let paths = (0..PATHS).map(|n| format!("/users/{}", 1 + n * step % system.users));
        Self { at: system.user_service.address, paths: paths.collect(), header: String::new() }
    }

    async fn verifications(system: &System) -> Self {
        Self {
            at: system.auth_service.address,
            paths: vec!["/verify".to_owned()],
            header: format!("Authorization: Bearer {}\r\n", system.token().await),
        }
    }
}

/// Runs both at the same time, on separate threads.
fn run(probes: &[Probe; 2]) -> [Sample; 2] {
    thread::scope(|scope| {
        let running = probes.each_ref().map(|Probe { at, paths, header }| {
            scope.spawn(move || Sample::of_times(&probe(*at, paths, header, TIME)))
        });
        running.map(|thread| thread.join().unwrap())
    })
}
