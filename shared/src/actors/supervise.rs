//! Keeps a loop running: whenever it fails or panics, it is started again.

use std::any::Any;
use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_util::FutureExt;
use tokio::time::sleep;

use super::backoff::{Backoff, HEALTHY};
use super::health::Health;

/// The loop has panicked; the panic hook has logged the place.
#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
struct Panicked(String);

/// Runs a loop, and runs it again whenever it fails or panics: each time is logged, counted, shown
/// at `/readyz`, and followed by a pause that grows until the loop has worked for some seconds.
///
/// `what` names the loop as an activity ("publishing events"). Each call of `run` makes one run;
/// `run` may borrow state that outlives a failed run. A run that returns without an error ends the
/// loop. `stopping` ends a pause, and the loop with it. It does not interrupt a run in progress:
/// the run must watch the same signal itself. A loop that may be interrupted anywhere is stopped by
/// dropping this future.
pub async fn supervise<E>(
    health: &Health,
    what: &'static str,
    stopping: impl Future<Output = ()>,
    mut run: impl AsyncFnMut() -> Result<(), E>,
) where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    health.loop_started(what);
    let mut backoff = Backoff::new(what);
    let mut stopping = pin!(stopping);
    loop {
        let Err(error) = run_once(&mut run, &mut backoff).await else { return };
        health.loop_failed(what, &*error);
        tokio::select! {
            biased;
            () = &mut stopping => return,
            () = sleep(backoff.failed(&*error)) => {}
        }
    }
}

/// One run. After it has worked for some seconds, the backoff is told that it works.
async fn run_once<E>(
    run: &mut impl AsyncFnMut() -> Result<(), E>,
    backoff: &mut Backoff,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    // An async block, because the call itself may panic too.
    let mut running = pin!(AssertUnwindSafe(async { run().await }).catch_unwind());
    let outcome = tokio::select! {
        outcome = &mut running => outcome,
        () = sleep(HEALTHY) => {
            backoff.recovered();
            running.await
        }
    };
    match outcome {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(payload) => Err(Panicked(reason_of(&*payload)).into()),
    }
}

fn reason_of(payload: &(dyn Any + Send)) -> String {
    let literal = payload.downcast_ref::<&str>().map(ToString::to_string);
    literal.or_else(|| payload.downcast_ref().cloned()).unwrap_or_else(|| "no reason given".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::test_log::logged_by;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;
    use std::cell::Cell;
    use std::future::pending;
    use std::io;
    use std::time::Duration;
    use tokio::sync::oneshot;
    use tokio::time::{Instant, advance, timeout};

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_or_fails_is_logged_counted_shown_and_started_again() {
        let mut registry = Registry::default();
        let health = Health::register(&mut registry);
        let runs = Cell::new(0);
        let log = logged_by(supervise(&health, "turning", pending(), async || {
            runs.set(runs.get() + 1);
            match runs.get() {
                1 => panic!("run {}", 1),
                2 => {
                    assert_eq!(health.degraded(), ["turning: panicked: run 1"]);
                    Err(io::Error::other("no wheel"))
                }
                _ => {
                    assert_eq!(health.degraded(), ["turning: no wheel"]);
                    sleep(HEALTHY * 2).await;
                    Ok(())
                }
            }
        }))
        .await;
        assert_eq!(runs.get(), 3);
        let mut metrics = String::new();
        encode(&mut metrics, &registry).unwrap();
        assert!(metrics.contains("loop_restarts_total{loop=\"turning\"} 2\n"), "{metrics}");
        assert_eq!(health.degraded(), [""; 0], "it has worked for a while");
        let lines: Vec<&str> =
            log.lines().filter_map(|line| line.split_once(": ")).map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            [
                "turning does not work; trying again error=\"panicked: run 1\"",
                "turning does not work; trying again error=\"no wheel\"",
                "turning works again",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_before_the_first_await_is_a_failure_too() {
        let mut runs = 0;
        supervise(&Health::default(), "turning", pending(), || {
            runs += 1;
            assert!(runs > 1, "at once");
            std::future::ready(Ok::<_, io::Error>(()))
        })
        .await;
        assert_eq!(runs, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pauses_grow_and_are_short_again_after_seconds_of_health() {
        let (health, started) = (Health::default(), Cell::new(Vec::new()));
        let running = supervise(&health, "turning", pending(), async || {
            let mut starts = started.take();
            starts.push(Instant::now());
            let is_healthy = starts.len() == 6;
            started.set(starts);
            if is_healthy {
                sleep(HEALTHY + Duration::from_millis(1)).await;
            }
            Err(io::Error::other("no wheel"))
        });
        assert!(timeout(Duration::from_secs(9), running).await.is_err());
        let starts = started.take();
        let gaps: Vec<u128> =
            starts.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        assert_eq!(gaps[..5], [100, 200, 400, 800, 1000]);
        assert!((5_100..5_110).contains(&gaps[5]), "{gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_ends_a_pause_and_the_loop() {
        let (stop, stopping) = oneshot::channel::<()>();
        let health = Health::default();
        let stopping = async { drop(stopping.await) };
        let running = supervise(&health, "turning", stopping, async || Err(io::Error::other("x")));
        let stopper = async {
            advance(Duration::from_millis(50)).await;
            drop(stop);
        };
        let both = async { tokio::join!(running, stopper) };
        assert!(timeout(Duration::from_millis(60), both).await.is_ok());
    }
}
