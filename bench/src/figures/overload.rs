//! More logins than the machine can hash: ten times as many at a fixed rate, and as many as ten
//! times as many clients send without pause.

use std::time::Duration;

use testkit::sample::{Sample, median};

use super::{ROUNDS, cores};
use crate::flood::{Answer, flood};
use crate::system::{HASH_QUEUE, Service, System};
use crate::table::{Figure, Wanted};
use crate::wrk::{Answers, Load, Script, Wrk};

const TIMES: f64 = 10.0;
const TIME: Duration = Duration::from_secs(4);
const PEAK: Load = Load(32, TIME);
const RESTLESS: Load = Load(320, TIME);

/// The results of one round.
struct Round {
    peak: Answers,
    good: Sample,
    refused: Sample,
    restless: Answers,
    /// Processor time that the service spent on the flood, without hashing.
    cpu: Duration,
}

pub(crate) async fn measure(system: &System, wrk: &Wrk) -> Vec<Figure> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(round(system, wrk).await);
    }
    let over = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
    vec![
        Figure {
            name: "goodput at ten times the load / peak",
            value: over(Round::goodput),
            unit: "",
            wanted: Wanted::AtLeast(0.9),
            detail: format!(
                "peak {:.0}/s; {:.0} of {:.0} refused, in {:.1} ms (median)",
                over(|round| round.peak.good_per_s()),
                over(|round| round.refused.count()),
                over(Round::sent),
                over(|round| round.refused.median()),
            ),
        },
        Figure {
            name: "goodput with 320 clients that never rest / peak",
            value: over(|round| round.restless.good_per_s() / round.peak.good_per_s()),
            unit: "",
            wanted: Wanted::AtLeast(0.75),
            detail: format!(
                "{:.0}/s of {:.0}/s; refused in {:.1} ms (median)",
                over(|round| round.restless.good_per_s()),
                over(|round| round.restless.per_s()),
                over(|round| round.restless.median_ms()),
            ),
        },
        Figure {
            name: "CPU of a login beside its hash, nine of ten refused",
            value: over(|round| round.cpu.as_secs_f64() * 1e3 / round.sent()),
            unit: " ms",
            wanted: Wanted::AtMost(0.5),
            detail: String::new(),
        },
        Figure {
            name: "longest wait at ten times the load / a full queue at the peak",
            value: over(|round| round.good.quantile(1.0) / 1e3 / round.full_queue_s()),
            unit: "",
            wanted: Wanted::AtMost(1.5),
            detail: format!("{:.0} ms", over(|round| round.good.quantile(1.0))),
        },
    ]
}

impl Round {
    fn sent(&self) -> f64 {
        self.good.count() + self.refused.count()
    }

    /// The passwords that still wait at the end are hashed afterwards, at the peak rate; that time
    /// is added.
    fn goodput(&self) -> f64 {
        let peak = self.peak.good_per_s();
        let time = TIME.as_secs_f64() + f64::from(HASH_QUEUE) / peak;
        self.good.count() / time / peak
    }

    /// How long the last password of a full queue takes to wait and be hashed.
    fn full_queue_s(&self) -> f64 {
        (f64::from(HASH_QUEUE) + cores() as f64) / self.peak.good_per_s()
    }
}

async fn round(system: &System, wrk: &Wrk) -> Round {
    let service: &Service = &system.auth_service;
    let peak = wrk.run(service.address, Script::Login, PEAK, system.users);
    let before = service.cpu_beside_hashing();
    let answers = flood(service.address, TIMES * peak.good_per_s(), TIME, system.users).await;
    let cpu = service.cpu_beside_hashing().saturating_sub(before);
    let (good, refused) = sort(&answers);
    let restless = wrk.run(service.address, Script::Login, RESTLESS, system.users);
    Round { peak, good, refused, restless, cpu }
}

/// The times of the good answers, and of the expected refusals.
fn sort(answers: &[Answer]) -> (Sample, Sample) {
    let (mut good, mut refused) = (Vec::new(), Vec::new());
    for Answer { head, after } in answers {
        match head.status {
            200 => good.push(*after),
            503 if head.has_retry_after => refused.push(*after),
            other => panic!("a login was answered with {other}"),
        }
    }
    (Sample::of_times(&good), Sample::of_times(&refused))
}
