//! The threads that actors run on.

use actix::Arbiter;

/// Stops these threads, with the actors on them, and waits until they have ended.
pub async fn join_threads<const N: usize>(arbiters: [Arbiter; N]) {
    let joining = move || {
        for arbiter in arbiters {
            arbiter.stop();
            if arbiter.join().is_err() {
                tracing::error!("an actor's thread has panicked");
            }
        }
    };
    if tokio::task::spawn_blocking(joining).await.is_err() {
        tracing::error!("the actors' threads were not joined");
    }
}
