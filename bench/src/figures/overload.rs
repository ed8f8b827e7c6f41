//! Ten times as many logins as the machine can hash.

use std::time::Duration;

use crate::flood::{Answer, flood};
use crate::sample::{Sample, median};
use crate::system::System;
use crate::table::{Figure, Wanted};
use crate::wrk::{Script, Wrk};

const PEAK: (u32, Duration) = (32, Duration::from_secs(4));
const TIMES: f64 = 10.0;
const TIME: Duration = Duration::from_secs(6);
const ROUNDS: usize = 2;
/// `HASH_QUEUE`.
const QUEUE: f64 = 128.0;

pub(crate) async fn measure(system: &System, wrk: &Wrk) -> Vec<Figure> {
    let service = &system.auth_service;
    let (mut ratios, mut costs, mut waits, mut details) = (vec![], vec![], vec![], String::new());
    for _ in 0..ROUNDS {
        let peak = wrk.script(service.address, Script::Login, PEAK, system.users);
        let before = service.cpu_beside_hashing();
        let answers = flood(service.address, TIMES * peak, TIME, system.users).await;
        let cpu = service.cpu_beside_hashing().saturating_sub(before);
        let (good, refused) = sort(&answers);
        // What the queue holds at the end is hashed after the time.
        let all = TIME.as_secs_f64() + QUEUE / peak;
        ratios.push(good.len() as f64 / all / peak);
        costs.push(cpu.as_secs_f64() * 1e3 / answers.len() as f64);
        let good = Sample::of_times(&good);
        waits.push(good.quantile(1.0) / 1e3 / ((QUEUE + 8.0) / peak));
        details = format!(
            "{:.0}/s offered; accepted: at most {:.1} s; refused: {} in {:.1} ms (median)",
            TIMES * peak,
            good.quantile(1.0) / 1e3,
            refused.len(),
            Sample::of_times(&refused).median()
        );
    }
    let figure = |name, values: Vec<f64>, unit, wanted, detail: &str| Figure {
        name,
        value: median(values),
        unit,
        wanted,
        detail: detail.to_owned(),
    };
    vec![
        figure("goodput at ten times the load / peak", ratios, "", Wanted::AtLeast(0.9), &details),
        figure(
            "CPU of a login beside its hash, most refused",
            costs,
            " ms",
            Wanted::AtMost(0.5),
            "",
        ),
        figure(
            "longest wait of an accepted login / queue at the peak",
            waits,
            "",
            Wanted::AtMost(1.5),
            "",
        ),
    ]
}

/// The times of the good answers, and of those that were refused as they should be.
fn sort(answers: &[Answer]) -> (Vec<Duration>, Vec<Duration>) {
    let (mut good, mut refused) = (Vec::new(), Vec::new());
    for Answer { status, has_retry_after, after } in answers {
        match status {
            200 => good.push(*after),
            503 if *has_retry_after => refused.push(*after),
            other => panic!("a login was answered with {other}"),
        }
    }
    (good, refused)
}
