//! Log lines for what anybody can cause as often as they like.

use std::time::Duration;

use tokio::time::Instant;

/// The time between two lines.
const PAUSE: Duration = Duration::from_mins(1);

/// Lets one line a minute through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sparingly {
    told_at: Option<Instant>,
}

impl Sparingly {
    /// Whether the line may be logged now. If so, it counts as logged.
    pub fn may_tell(&mut self) -> bool {
        let may = self.told_at.is_none_or(|at| at.elapsed() >= PAUSE);
        if may {
            self.told_at = Some(Instant::now());
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_minute_passes_and_those_between_do_not_put_it_off() {
        let mut sparingly = Sparingly::default();
        let mut passed = 0;
        for _ in 0..121 {
            passed += u32::from(sparingly.may_tell());
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(passed, 3);
    }
}
