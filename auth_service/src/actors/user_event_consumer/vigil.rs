//! When answers stay away: told from a pause of this process by counting only the time in which it
//! was awake.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::users_freshness::UsersFreshness;

/// How often is looked.
const STEP: Duration = Duration::from_millis(250);
/// What a step counts at most: a process that was stopped could hear nothing meanwhile.
const STEP_MAX: Duration = Duration::from_millis(500);
/// Without an answer for so long, user_service is taken to be out of reach. Questions are asked every
/// second; it is less than the time for which a proof holds, so that nobody waits for a service that
/// has just ended.
const SILENCE: Duration = Duration::from_millis(2_300);

/// The time without an answer.
struct Vigil {
    awake: Duration,
    seen_at: Instant,
}

impl Vigil {
    fn begin(now: Instant) -> Self {
        Self { awake: Duration::ZERO, seen_at: now }
    }

    /// Whether answers have stayed away for too long.
    fn step(&mut self, now: Instant, is_answered: bool) -> bool {
        let step = now.saturating_duration_since(self.seen_at).min(STEP_MAX);
        self.seen_at = now;
        self.awake = if is_answered { Duration::ZERO } else { self.awake + step };
        self.awake >= SILENCE
    }
}

/// Tells when user_service is out of reach, for ever.
pub(super) async fn keep_vigil(fresh: &UsersFreshness) {
    let mut vigil = Vigil::begin(Instant::now());
    loop {
        sleep(STEP).await;
        if vigil.step(Instant::now(), fresh.take_answered()) {
            fresh.cut_off();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::direct_way::direct_way;
    use super::*;
    use shared::clock::Clock;
    use tokio::time::timeout;

    #[test]
    fn a_pause_is_no_silence() {
        let start = Instant::now();
        let mut vigil = Vigil::begin(start);
        let after_pause = start + Duration::from_mins(1);
        assert!(!vigil.step(after_pause, false));
        let steps = (1..=20).map(|n| after_pause + STEP * n);
        let silent: Vec<bool> = steps.map(|now| vigil.step(now, false)).collect();
        let noticed = silent.iter().position(|is_silent| *is_silent).unwrap();
        assert!((6..=8).contains(&noticed), "{noticed} steps of awake time");
        assert!(!vigil.step(after_pause + STEP * 21, true), "answered");
    }

    #[tokio::test(start_paused = true)]
    async fn user_service_is_out_of_reach_when_its_answers_stay_away() {
        let (_, fresh) = direct_way(None, Clock::manual(0));
        let mut changes = fresh.changes();
        let answering = async {
            for _ in 0..20 {
                sleep(Duration::from_secs(1)).await;
                fresh.note_answer();
            }
            assert_eq!(fresh.cut_off_s(), None);
            let answered_at = Instant::now();
            timeout(Duration::from_secs(9), changes.changed()).await.unwrap().unwrap();
            assert!(fresh.cut_off_s().is_some());
            answered_at.elapsed()
        };
        let noticed_after = tokio::select! {
            after = answering => after,
            () = keep_vigil(&fresh) => unreachable!("it has no end"),
        };
        assert!((SILENCE..SILENCE + STEP * 2).contains(&noticed_after), "{noticed_after:?}");
    }
}
