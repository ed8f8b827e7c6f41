//! Group commit (Gray and Reuter, section 10.3.6): writes that arrive while one commit is on its
//! way to the disk are committed together by the next one. There is no timer: a single write never
//! waits.
//!
//! A write changes the token set in memory, and the database alike. What does not come to the disk
//! is taken back in memory, too; what does is shown to the HTTP workers before the reply is sent.

use contract::token_record::TokenRecordId;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use shared::actors::Reply;
use shared::fail_point::fail_point;
use shared::sqlite::in_savepoint;
use shared::tokens::token_set::{BootTime, Change};

use super::super::StoreError;
use super::super::token_state::TokenState;
use super::{replicas, tokens};

/// Writes that wait for the next commit. Belongs to the actor that owns the connection.
#[derive(Default)]
pub(in crate::store) struct GroupCommit {
    waiting: Vec<Box<dyn Write>>,
    /// What belongs to no request and is not on the disk yet.
    owed: Owed,
}

/// What the set has changed by itself.
#[derive(Default)]
struct Owed {
    change: Change,
    /// Records that the bus has confirmed, and when.
    confirmed: Vec<(TokenRecordId, BootTime)>,
}

impl Owed {
    fn is_empty(&self) -> bool {
        self.change.is_empty() && self.confirmed.is_empty()
    }
}

/// The result of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Committed {
    /// How many writes were in the group, including those that failed individually.
    pub(in crate::store) writes: usize,
    /// How many of them are on the disk now.
    pub(in crate::store) kept: usize,
    /// The transaction counts as a change of the set.
    pub(in crate::store) is_change: bool,
}

impl GroupCommit {
    /// Adds a write. `work` runs at the next [`GroupCommit::commit`], in a separate savepoint: if
    /// it fails or panics, it alone is undone. Changing the set is the last thing that it does;
    /// the change that it returns is written for it. The reply is sent after the `COMMIT` that
    /// contains it.
    pub(in crate::store) fn push<T, E>(
        &mut self,
        reply: Reply<Result<T, E>>,
        work: impl FnOnce(&Connection, &mut TokenState) -> Result<(T, Change), E> + Send + 'static,
    ) where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (outcome, change) = (None, Change::default());
        self.waiting.push(Box::new(Pending { reply, work: Some(work), outcome, change }));
    }

    /// Adds a change that the set has made by itself. It stays owed until a commit succeeds.
    pub(in crate::store) fn owe(&mut self, change: Change) {
        self.owed.change.removed.extend(change.removed);
        self.owed.change.raised.extend(change.raised);
    }

    /// Notes that the bus has confirmed a record. If that is lost, the record is published again.
    pub(in crate::store) fn owe_confirmation(&mut self, id: TokenRecordId, at: BootTime) {
        self.owed.confirmed.push((id, at));
    }

    /// Whether no request waits for a commit.
    pub(in crate::store) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether there is nothing to commit.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.owed.is_empty()
    }

    /// Commits everything that waits as one transaction, then answers each.
    ///
    /// # Errors
    /// The commit failed, for instance because the disk is full: nothing of the group is kept, and
    /// each write was answered with the error.
    pub(in crate::store) fn commit(
        &mut self,
        connection: &mut Connection,
        state: &mut TokenState,
        now: BootTime,
    ) -> Result<Committed, StoreError> {
        let mut group = std::mem::take(&mut self.waiting);
        let result = run_group(connection, &self.owed, &mut group, state, now);
        fail_point("committed");
        if result.is_ok() {
            state.show(&std::mem::take(&mut self.owed).change);
        } else {
            group.iter_mut().rev().for_each(|write| write.undo(state, now));
        }
        for write in group {
            write.answer(result.as_ref().err(), state);
        }
        result
    }

    /// Answers all waiting writes with the error: nothing is done.
    pub(in crate::store) fn refuse(&mut self, error: &StoreError, state: &TokenState) {
        for write in self.waiting.drain(..) {
            write.answer(Some(error), state);
        }
    }
}

fn run_group(
    connection: &mut Connection,
    owed: &Owed,
    group: &mut [Box<dyn Write>],
    state: &mut TokenState,
    now: BootTime,
) -> Result<Committed, StoreError> {
    // Immediate: a deferred transaction could fail to become a writer half way.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tokens::write(&transaction, &owed.change, &state.set)?;
    replicas::confirm(&transaction, &owed.confirmed)?;
    let mut kept = 0;
    for write in &mut *group {
        kept += usize::from(run_alone(&transaction, &mut **write, state, now)?);
    }
    let is_change = kept > 0 || !owed.is_empty();
    if is_change {
        tokens::count_change(&transaction)?;
    }
    transaction.commit()?;
    Ok(Committed { writes: group.len(), kept, is_change })
}

fn run_alone(
    transaction: &Transaction<'_>,
    write: &mut dyn Write,
    state: &mut TokenState,
    now: BootTime,
) -> rusqlite::Result<bool> {
    let is_kept = in_savepoint(transaction, |connection| write.run(connection, state))?;
    if !is_kept {
        write.undo(state, now);
    }
    Ok(is_kept)
}

trait Write: Send {
    /// Does the work; returns whether to keep it.
    fn run(&mut self, connection: &Connection, state: &mut TokenState) -> bool;
    /// Takes back what it has changed in memory.
    fn undo(&mut self, state: &mut TokenState, now: BootTime);
    /// Sends the outcome, or the commit's failure instead.
    fn answer(self: Box<Self>, failure: Option<&StoreError>, state: &TokenState);
}

struct Pending<T, E, F> {
    reply: Reply<Result<T, E>>,
    work: Option<F>,
    /// `None` if the work panicked: then the reply is dropped and the client gets an internal
    /// error.
    outcome: Option<Result<T, E>>,
    /// What the work has changed in memory.
    change: Change,
}

impl<T, E, F> Write for Pending<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnOnce(&Connection, &mut TokenState) -> Result<(T, Change), E> + Send,
{
    fn run(&mut self, connection: &Connection, state: &mut TokenState) -> bool {
        let Some(work) = self.work.take() else { return false };
        let change = &mut self.change;
        self.outcome = self.reply.run(|| {
            let (outcome, made) = work(connection, state)?;
            *change = made;
            tokens::write(connection, change, &state.set)?;
            Ok(outcome)
        });
        matches!(self.outcome, Some(Ok(_)))
    }

    fn undo(&mut self, state: &mut TokenState, now: BootTime) {
        state.set.undo(&std::mem::take(&mut self.change), now);
    }

    fn answer(self: Box<Self>, failure: Option<&StoreError>, state: &TokenState) {
        let outcome = match (failure, self.outcome) {
            // The write's own error stays valid, whatever happened to the group.
            (_, Some(Err(own))) => Err(own),
            (Some(failure), _) => Err(E::from(failure.clone())),
            (None, Some(Ok(kept))) => {
                state.show(&self.change);
                Ok(kept)
            }
            (None, None) => return,
        };
        self.reply.send(outcome);
    }
}

#[cfg(test)]
mod tests;
