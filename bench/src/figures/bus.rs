//! The time from a commit to its event's effect, and how fast a backlog is applied, beside a bare
//! publisher and consumer on the same broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::rabbitmq::RabbitMq;
use testkit::sample::{Sample, median};

use crate::floors::commits::fdatasync;
use crate::floors::lapin_pair::LapinPair;
use crate::system::{Seq, System, rename};
use crate::table::{Figure, Wanted};
use crate::wrk::{Load, Script, Wrk};

/// The approximate size of an event, including headers.
const EVENT_SIZE: usize = 800;
/// How many changes are made one by one.
pub(super) const SINGLE: usize = 100;
/// Pause between two of them.
pub(super) const PAUSE: Duration = Duration::from_millis(20);
/// How often it is looked whether a change is there.
pub(super) const POLL: Duration = Duration::from_micros(50);
const ROUNDS: usize = 2;
/// How many messages the bare pair transfers.
const STREAM: usize = 20_000;
/// The load that fills the log while the broker is down.
const BACKLOG_LOAD: Load = Load(64, Duration::from_secs(2));

pub(crate) async fn measure(system: &mut System, wrk: &Wrk) -> Vec<Figure> {
    let sync = fdatasync(system.directory.path()).median();
    let ours = async |_| commit_to_applied(system).await;
    let delay = delay(&system.broker, ours, &format!("; fdatasync {sync:.2} ms")).await;
    let backlog = backlog(system, wrk).await;
    vec![delay, backlog]
}

/// `ours` makes [`SINGLE`] changes one by one, and takes the time of each from its commit to its effect.
pub(super) async fn delay(
    broker: &RabbitMq,
    ours: impl AsyncFn(usize) -> Sample,
    note: &str,
) -> Figure {
    let pair = LapinPair::connect(&broker.url(), EVENT_SIZE).await;
    let (mut floors, mut times) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        floors.push(pair.one_by_one(SINGLE).await.received.median());
        times.push(ours(round).await.median());
    }
    let (ours, floor) = (median(times), median(floors));
    Figure {
        name: "commit to applied, p50 / bare publish to consume, p50",
        value: ours / floor,
        unit: "",
        wanted: Wanted::AtMost(5.0),
        detail: format!("{ours:.2} ms, bare {floor:.2} ms{note}"),
    }
}

/// Makes changes one by one, while both database files are watched.
async fn commit_to_applied(system: &System) -> Sample {
    let stop = Arc::new(AtomicBool::new(false));
    let watching = {
        let (head, applied, stop) = (system.head(), system.applied(), Arc::clone(&stop));
        thread::spawn(move || watch(&head, &applied, &stop))
    };
    let at = system.user_service.address;
    let round = system.head().read();
    for n in 0..SINGLE {
        tokio::time::sleep(PAUSE).await;
        rename(at, 1, &format!("single{round}x{n}")).await;
    }
    tokio::time::sleep(PAUSE).await;
    stop.store(true, Ordering::Relaxed);
    Sample::of_times(&watching.join().unwrap())
}

/// How long after each record appears in the log it is applied.
fn watch(head: &Seq, applied: &Seq, stop: &AtomicBool) -> Vec<Duration> {
    let (mut known, mut times) = (head.read(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let seq = head.read();
        if seq > known {
            let committed = Instant::now();
            while applied.read() < seq {
                thread::sleep(POLL);
            }
            times.push(committed.elapsed());
            known = seq;
        }
        thread::sleep(POLL);
    }
    times
}

/// The log grows while the broker is down; then the broker comes back.
async fn backlog(system: &mut System, wrk: &Wrk) -> Figure {
    let (mut floors, mut ours, mut events) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let pair = LapinPair::connect(&system.broker.url(), EVENT_SIZE).await;
        floors.push(pair.stream(STREAM).await);
        drop(pair);
        system.broker.stop().await;
        let at = system.user_service.address;
        wrk.run(at, Script::Rename, BACKLOG_LOAD, system.users);
        system.broker.restart().await;
        let (count, per_s) = drain(system).await;
        events = count;
        ours.push(per_s);
    }
    Figure {
        name: "backlog drained, events/s / bare publisher and consumer",
        value: median(ours.iter().zip(&floors).map(|(ours, floor)| ours / floor)),
        unit: "",
        wanted: Wanted::AtLeast(0.5),
        detail: format!(
            "{:.0}/s of {events}, bare {:.0}/s of {STREAM}",
            median(ours.clone()),
            median(floors.clone())
        ),
    }
}

/// How many events were pending, and how many per second were applied after the first one.
async fn drain(system: &System) -> (i64, f64) {
    let (end, applied) = (system.head().read(), system.applied());
    let begin = applied.read();
    let mut first = None;
    loop {
        let seq = applied.read();
        if seq > begin && first.is_none() {
            first = Some((Instant::now(), seq));
        }
        if seq >= end {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (since, from) = first.unwrap();
    (end - begin, (end - from) as f64 / since.elapsed().as_secs_f64())
}
