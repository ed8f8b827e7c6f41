//! Asking until the server is back.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::actors::GrowingPause;
use crate::store_error::StoreError;

/// Shorter than that of other retries: a request waits meanwhile.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Asks until there is an answer, or another error than one that passes, or `limit` has passed.
///
/// # Errors
/// The last one.
pub async fn while_unavailable<T>(
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let (begun, mut pause) = (Instant::now(), GrowingPause::new(FIRST_PAUSE));
    loop {
        match ask().await {
            Err(error) if error.is_passing() && begun.elapsed() < limit => {
                sleep(pause.take(LONGEST_PAUSE)).await;
            }
            answer => return answer,
        }
    }
}
