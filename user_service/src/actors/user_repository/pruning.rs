//! Old records of the log go, a few at a time, so that no writer waits long for it.

use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use rusqlite::TransactionBehavior;
use shared::sqlite::StoreError;

use super::UserRepository;
use crate::store::log::{self, Retention};
use crate::store::published;

/// How many records go in one transaction.
const CHUNK: u32 = 1_000;
/// How long until more may have become old.
const PERIOD: Duration = Duration::from_mins(1);
/// How long writers have the disk to themselves while there is more to prune.
const PAUSE: Duration = Duration::from_millis(100);

/// How long records of the log stay: as long as one of the two holds, and in any case until the
/// bus has taken their events.
#[derive(Clone, Copy, Debug)]
pub struct LogRetention {
    /// While they are younger.
    pub age: Duration,
    /// While they are among so many newest ones.
    pub rows: i64,
}

/// To itself: prune the log, as far as that is due.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct PruneLog;

impl Handler<PruneLog> for UserRepository {
    type Result = ();

    fn handle(&mut self, _: PruneLog, context: &mut Context<Self>) {
        let again = match self.prune() {
            Ok(pruned) if pruned == CHUNK as usize => PAUSE,
            Ok(_) => PERIOD,
            Err(error) => {
                tracing::warn!(%error, "the log was not pruned");
                PERIOD
            }
        };
        context.notify_later(PruneLog, again);
    }
}

impl UserRepository {
    /// In a transaction of its own: a group that is being collected comes after it.
    fn prune(&mut self) -> Result<usize, StoreError> {
        let LogRetention { age, rows } = self.retention;
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let since_ms = self.recorder.clock.unix_ms().saturating_sub(age_ms);
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let published = published::read(&transaction)?;
        let pruned = log::prune(&transaction, Retention { since_ms, rows }, published, CHUNK)?;
        let start = log::start(&transaction)?;
        transaction.commit()?;
        self.metrics.pruned_seq.set(start.seq);
        if pruned > 0 {
            tracing::info!(pruned, up_to = start.seq, "old records of the log are gone");
        }
        Ok(pruned)
    }
}
