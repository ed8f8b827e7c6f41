//! Has old records of the log and expired responses deleted.
//!
//! **Owns** the schedule: a few rows at a time, so that no write waits long for it.
//!
//! **Promises** that data beyond its retention is deleted within some minutes.
//!
//! **When full**: this cannot happen, as it takes no input.
//!
//! **When it dies** nothing is pruned until it is started again.

use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::future::pending;
use shared::actors::{AskError, Health, Mailbox, ask, supervise};
use tokio::time::sleep;

use super::user_repository::{Prune, UserRepository};
use crate::metrics::WriterMetrics;
use crate::store::{Pruned, Retention, StoreError};

/// Pause until more rows may have expired.
const PERIOD: Duration = Duration::from_mins(1);
/// Pause between two chunks, so that writes get the disk while there is more to prune.
const PAUSE: Duration = Duration::from_millis(100);

/// The pruner.
pub struct LogPruner {
    repository: Mailbox<UserRepository>,
    retention: Retention,
    health: Health,
    metrics: WriterMetrics,
}

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
enum PruneError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LogPruner {
    /// Asks the repository to delete everything beyond `retention`.
    pub fn new(
        repository: Mailbox<UserRepository>,
        retention: Retention,
        health: Health,
        metrics: WriterMetrics,
    ) -> Self {
        Self { repository, retention, health, metrics }
    }
}

impl Actor for LogPruner {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let (repository, retention) = (self.repository.clone(), self.retention);
        let (health, metrics) = (self.health.clone(), self.metrics.clone());
        let pruning = async move {
            supervise(&health, "pruning the log", pending(), async || {
                prune_for_ever(&repository, retention, &metrics).await
            })
            .await;
        };
        context.spawn(pruning.into_actor(self).map(|(), _, _| ()));
    }
}

async fn prune_for_ever(
    repository: &Mailbox<UserRepository>,
    retention: Retention,
    metrics: &WriterMetrics,
) -> Result<(), PruneError> {
    loop {
        let pruned = ask(repository, Prune(retention)).await??;
        let Pruned { records, responses, log_start_seq, has_more } = pruned;
        metrics.pruned_seq.set(log_start_seq);
        if records > 0 || responses > 0 {
            tracing::info!(records, responses, up_to = log_start_seq, "pruned");
        }
        sleep(if has_more { PAUSE } else { PERIOD }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::{TestRepository, create_as};
    use super::super::test_store::{TroubledStore, Troubles};
    use super::super::user_repository::RecordPublished;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use testkit::wait::until_holds;

    #[actix::test]
    async fn after_a_panic_the_log_is_pruned_all_the_same() {
        let troubles = Troubles::default();
        let inside = troubles.clone();
        let repository = TestRepository::with_store(|store| {
            Arc::new(TroubledStore { inside: store, troubles: inside })
        })
        .await;
        create_as(&repository, "anna").await;
        ask(&repository.mailbox, RecordPublished { seq: 1 }).await.unwrap().unwrap();
        troubles.prune_panics.store(true, Ordering::Relaxed);
        let retention = Retention { age_ms: 0, rows: 0 };
        let (health, metrics) = (repository.health.clone(), repository.metrics.writer.clone());
        let pruner = LogPruner::new(repository.mailbox.clone(), retention, health, metrics);
        let _pruner = Mailbox::start(&repository.health, 1, |_| pruner);
        let is_pruned = || repository.metrics.writer.pruned_seq.get() == 1;
        until_holds("the record is gone", Duration::from_secs(10), is_pruned).await;
        assert_eq!(
            repository.health.degraded(),
            ["pruning the log: UserRepository gave no answer"]
        );
    }
}
