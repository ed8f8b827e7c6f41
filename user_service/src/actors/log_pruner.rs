//! Has old records of the log and expired responses deleted.
//!
//! **Owns** the rhythm: a few rows at a time, so that no write waits long for it.
//!
//! **Promises** that what is no longer kept goes within some minutes.
//!
//! **When full** it cannot be: it takes no input.
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

/// How long until more may have become old.
const PERIOD: Duration = Duration::from_mins(1);
/// How long writes have the disk to themselves while there is more to prune.
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
    /// Asks the repository to keep no more than `retention` says.
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
