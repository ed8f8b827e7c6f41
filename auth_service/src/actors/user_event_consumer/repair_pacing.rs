//! How soon a repair may be asked for again.

use std::collections::HashMap;
use std::time::Duration;

use contract::Position;
use shared::actors::GrowingPause;
use shared::log_sync::AskReason;
use tokio::time::Instant;

/// The first pause between two repairs of the same cause.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_mins(10);
/// A cause that has not come up for so long is a new one. Long, because a snapshot is dear: a record
/// that cannot be read, written every minute, must not cost one each time.
const HEALTHY: Duration = Duration::from_mins(15);

/// Remembers each cause. It outlives the subscriptions: a cause does not go away with them.
#[derive(Debug, Default)]
pub(super) struct RepairPacing {
    causes: HashMap<AskReason, Cause>,
}

#[derive(Debug)]
struct Cause {
    /// When the last repair was due.
    asked_at: Instant,
    /// Where the follower was then.
    at: Position,
    /// Until the next one.
    pause: Duration,
    /// After that.
    next: GrowingPause,
}

impl Cause {
    fn new(at: Position, now: Instant) -> Self {
        let mut next = GrowingPause::new(PAUSE_MIN);
        Self { asked_at: now, at, pause: next.take(PAUSE_MAX), next }
    }
}

impl RepairPacing {
    /// When the repair may be asked for: now, or after a pause that grows while the same cause
    /// comes up again.
    ///
    /// A question for records is a new one if the last one has led on. Snapshots always lead on, so
    /// for them only time counts.
    pub(super) fn due(&mut self, reason: AskReason, at: Position, now: Instant) -> Instant {
        let Some(cause) = self.causes.get_mut(&reason) else {
            self.causes.insert(reason, Cause::new(at, now));
            return now;
        };
        let is_new = now.saturating_duration_since(cause.asked_at) >= HEALTHY
            || (!reason.needs_snapshot() && cause.at != at);
        if is_new {
            *cause = Cause::new(at, now);
            return now;
        }
        let due = (cause.asked_at + cause.pause).max(now);
        (cause.asked_at, cause.at, cause.pause) = (due, at, cause.next.take(PAUSE_MAX));
        due
    }

    /// Whether it may be asked for now; if not, nothing is noted.
    pub(super) fn is_due(&mut self, reason: AskReason, at: Position, now: Instant) -> bool {
        let rests = |cause: &Cause| now < cause.asked_at + cause.pause;
        if self.causes.get(&reason).is_some_and(rests) {
            return false;
        }
        self.due(reason, at, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: i64) -> Position {
        Position { seq, ..Position::default() }
    }

    #[test]
    fn a_snapshot_for_the_same_cause_comes_later_each_time_and_another_cause_does_not_wait() {
        let (mut pacing, start) = (RepairPacing::default(), Instant::now());
        let mut now = start;
        let mut pauses = Vec::new();
        for seq in 0..12 {
            let due = pacing.due(AskReason::Unappliable, at(seq), now);
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600]);
        assert_eq!(pacing.due(AskReason::Difference, at(0), now), now);
        let later = now + HEALTHY;
        assert_eq!(pacing.due(AskReason::Unappliable, at(0), later), later, "a new one");
        assert!(!pacing.is_due(AskReason::Unappliable, at(0), later));
        assert!(pacing.is_due(AskReason::Unappliable, at(0), later + PAUSE_MIN));
    }

    #[test]
    fn a_question_for_records_waits_only_if_the_last_one_led_nowhere() {
        let (mut pacing, now) = (RepairPacing::default(), Instant::now());
        for seq in 0..100 {
            assert_eq!(pacing.due(AskReason::Gap, at(seq), now), now, "messages may be lost often");
        }
        assert_eq!(pacing.due(AskReason::Gap, at(99), now), now + PAUSE_MIN);
        assert_eq!(pacing.due(AskReason::Gap, at(99), now), now + PAUSE_MIN * 3);
    }
}
