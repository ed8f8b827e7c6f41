//! When a revoked session may be forgotten.
//!
//! A revocation that is forgotten too early revives its token, so two clocks must agree that the
//! token has expired. The wall clock alone does not do: it may be an hour ahead for a minute. The
//! monotonic clock alone does not do either: the token may have been signed while the wall clock
//! was ahead, and be good later than it should. What neither tells is a wall clock that was ahead
//! when the token was signed, stayed so for longer than the token's lifetime, and is set back then.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Added to each lifetime: the clocks may run at slightly different speeds.
const SLACK_S: i64 = 60;

/// The time by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The wall clock: milliseconds since 1970.
    pub wall_ms: i64,
    /// The clock that nobody sets: microseconds since some moment.
    pub monotonic_us: u64,
}

/// A session that was logged out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedSession {
    /// Its name.
    pub sid: Arc<str>,
    /// When nobody takes its tokens any more: seconds since 1970, by the wall clock.
    pub until_s: i64,
    /// How long its tokens live, in seconds.
    pub lifetime_s: i64,
}

/// The sessions in the order in which they may be forgotten.
#[derive(Default)]
pub(super) struct Forgetting(BinaryHeap<Reverse<(u64, Arc<str>, i64)>>);

impl Forgetting {
    /// Notes a session that this process has learned of now. A restart counts anew.
    pub(super) fn note(&mut self, session: &RevokedSession, now: Now) {
        let keep_s = session.lifetime_s.saturating_add(SLACK_S);
        self.push(Arc::clone(&session.sid), session.until_s, keep_s, now);
    }

    /// Up to `limit` sessions whose tokens have expired by both clocks.
    pub(super) fn take_expired(&mut self, now: Now, limit: usize) -> Vec<Arc<str>> {
        let mut expired = Vec::new();
        let now_s = now.wall_ms.div_euclid(1000);
        while expired.len() < limit
            && let Some(Reverse((due_us, ..))) = self.0.peek()
            && *due_us <= now.monotonic_us
            && let Some(Reverse((_, sid, until_s))) = self.0.pop()
        {
            if until_s <= now_s {
                expired.push(sid);
            } else {
                self.push(sid, until_s, until_s.saturating_sub(now_s), now);
            }
        }
        expired
    }

    /// They could not be deleted: they are due again.
    pub(super) fn put_back(&mut self, expired: Vec<Arc<str>>) {
        self.0.extend(expired.into_iter().map(|sid| Reverse((0, sid, i64::MIN))));
    }

    fn push(&mut self, sid: Arc<str>, until_s: i64, after_s: i64, now: Now) {
        let pause_us = u64::try_from(after_s).unwrap_or(0).saturating_mul(1_000_000);
        self.0.push(Reverse((now.monotonic_us.saturating_add(pause_us), sid, until_s)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_s: i64, monotonic_s: u64) -> Now {
        Now { wall_ms: wall_s * 1000, monotonic_us: monotonic_s * 1_000_000 }
    }

    fn noted(until_s: i64) -> Forgetting {
        let mut forgetting = Forgetting::default();
        let session = RevokedSession { sid: "s".into(), until_s, lifetime_s: 900 };
        forgetting.note(&session, at(1_000, 0));
        forgetting
    }

    fn forgets(forgetting: &mut Forgetting, now: Now) -> bool {
        !forgetting.take_expired(now, 10).is_empty()
    }

    #[test]
    fn a_wall_clock_that_is_ahead_for_a_while_makes_nobody_forget() {
        let mut forgetting = noted(1_900);
        assert!(!forgets(&mut forgetting, at(4_600, 60)), "an hour ahead for a minute");
        assert!(!forgets(&mut forgetting, at(1_900, 900)), "nor does the expiry by the wall alone");
        assert!(forgets(&mut forgetting, at(1_960, 960)));
        assert!(!forgets(&mut forgetting, at(9_999, 9_999)), "once");
    }

    #[test]
    fn a_token_that_was_signed_by_a_clock_that_was_ahead_is_remembered_until_it_has_expired() {
        let mut forgetting = noted(1_900 + 3_600);
        assert!(!forgets(&mut forgetting, at(1_960, 960)));
        assert!(!forgets(&mut forgetting, at(5_499, 4_499)));
        assert!(forgets(&mut forgetting, at(5_500, 4_500)));
    }

    #[test]
    fn what_could_not_be_deleted_is_due_again_and_a_chunk_has_a_limit() {
        let mut forgetting = Forgetting::default();
        for sid in ["a", "b", "c"] {
            let session = RevokedSession { sid: sid.into(), until_s: 0, lifetime_s: 0 };
            forgetting.note(&session, at(0, 0));
        }
        let first = forgetting.take_expired(at(60, 60), 2);
        assert_eq!(first.len(), 2);
        forgetting.put_back(first);
        assert_eq!(forgetting.take_expired(at(60, 60), 10).len(), 3);
    }
}
