//! Waits for a state instead of sleeping for a fixed time.

use std::time::Duration;

/// How often the state is checked.
const INTERVAL: Duration = Duration::from_millis(10);

/// Asks until there is an answer. Fails the test, naming `what`, if there is no answer within
/// `bound`.
pub async fn until<T>(what: &str, bound: Duration, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    tokio::time::timeout(bound, polling)
        .await
        .unwrap_or_else(|_| panic!("waited {bound:?} in vain until {what}"))
}

/// [`until`] for a condition that is known at once.
pub async fn until_holds(what: &str, bound: Duration, mut check: impl FnMut() -> bool) {
    until(what, bound, async || check().then_some(())).await;
}

/// Waits for the future. Fails the test, naming `what`, if it takes longer than `bound`.
pub async fn within<T>(what: &str, bound: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(bound, future)
        .await
        .unwrap_or_else(|_| panic!("waited {bound:?} in vain for {what}"))
}
