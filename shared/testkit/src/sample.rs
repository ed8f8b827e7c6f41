//! The values of repeated measurements.

#![expect(clippy::cast_precision_loss, reason = "far fewer values than 2^52")]

use std::time::Duration;

/// Sorted.
#[derive(Clone, Debug)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// Sorts the values.
    pub fn new(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// In milliseconds.
    pub fn of_times(times: &[Duration]) -> Self {
        Self::new(times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// The quantile `share` of the values, by the nearest rank.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    /// How many values there are.
    pub fn count(&self) -> f64 {
        self.0.len() as f64
    }

    /// The value in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

/// The median of the values.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    Sample::new(values.into_iter().collect()).median()
}
