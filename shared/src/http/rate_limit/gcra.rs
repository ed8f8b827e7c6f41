//! The generic cell rate algorithm (ITU-T I.371): a budget that refills evenly, kept as one number.
//!
//! The number is the time at which the whole budget will be available again. It is in the past for
//! a key that has spent nothing lately, so unknown and forgotten keys need no entry. Times are
//! microseconds on a monotonic clock.

use std::time::Duration;

/// A quota for a time window. All of it may be spent at once; then one unit returns after each
/// equal share of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// How many units may be spent at once.
    pub(super) quota: u32,
    /// The cost of one unit, in microseconds.
    share_us: u64,
}

impl Budget {
    /// `None` if `quota` is 0: then there is no limit.
    pub(super) fn new(quota: u32, window: Duration) -> Option<Self> {
        let window_us = u64::try_from(window.as_micros()).unwrap_or(u64::MAX / 4);
        let share_us = window_us.checked_div(quota.into())?.max(1);
        Some(Self { quota, share_us })
    }

    /// The time in which the whole budget returns.
    pub(super) fn window(self) -> Duration {
        Duration::from_micros(self.window_us())
    }

    fn window_us(self) -> u64 {
        self.share_us.saturating_mul(self.quota.into())
    }

    /// How many units may be spent now, if the budget will be full at `full_at_us`.
    pub(super) fn left(self, full_at_us: u64, now_us: u64) -> u32 {
        let spent_us = full_at_us.saturating_sub(now_us);
        let left = self.window_us().saturating_sub(spent_us) / self.share_us;
        u32::try_from(left).unwrap_or(self.quota).min(self.quota)
    }

    /// When the budget will be full after one more unit was spent.
    pub(super) fn spend(self, full_at_us: u64, now_us: u64) -> u64 {
        full_at_us.max(now_us).saturating_add(self.share_us)
    }

    /// How long until one unit is available; zero if one is available now.
    pub(super) fn retry_after(self, full_at_us: u64, now_us: u64) -> Duration {
        let spent_us = full_at_us.saturating_sub(now_us);
        let free_us = self.window_us().saturating_sub(self.share_us);
        Duration::from_micros(spent_us.saturating_sub(free_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quota_of_zero_is_no_limit() {
        assert_eq!(Budget::new(0, Duration::from_mins(1)), None);
    }

    #[test]
    fn all_may_be_spent_at_once_and_one_comes_back_after_its_share_of_the_window() {
        let budget = Budget::new(3, Duration::from_secs(30)).unwrap();
        let now = 1_000_000;
        let mut full_at = 0;
        for left in [3, 2, 1] {
            assert_eq!(budget.left(full_at, now), left);
            assert_eq!(budget.retry_after(full_at, now), Duration::ZERO);
            full_at = budget.spend(full_at, now);
        }
        assert_eq!(budget.left(full_at, now), 0);
        assert_eq!(budget.retry_after(full_at, now), Duration::from_secs(10));
        assert_eq!(budget.left(full_at, now + 9_999_999), 0);
        assert_eq!(budget.left(full_at, now + 10_000_000), 1);
        assert_eq!(budget.left(full_at, now + 30_000_000), 3);
    }

    proptest! {
        /// A caller that never spends more than what is left spends at most the quota plus the
        /// refill.
        #[test]
        fn in_any_stretch_no_more_is_spent_than_the_quota_and_its_refill(
            quota in 1_u32..50,
            window_s in 1_u64..10_000,
            pauses_ms in prop::collection::vec(0_u64..20_000, 1..300),
        ) {
            let budget = Budget::new(quota, Duration::from_secs(window_s)).unwrap();
            let (mut now, mut full_at, mut spent) = (0, 0, Vec::new());
            for pause_ms in pauses_ms {
                now += pause_ms * 1000;
                if budget.left(full_at, now) > 0 {
                    full_at = budget.spend(full_at, now);
                    spent.push(now);
                }
            }
            for (first, &from) in spent.iter().enumerate() {
                for (last, &to) in spent.iter().enumerate().skip(first) {
                    let refill = (to - from) / budget.share_us;
                    prop_assert!(((last - first) as u64) < u64::from(quota) + refill);
                }
            }
        }
    }
}
