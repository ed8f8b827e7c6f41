//! Group commit (Gray and Reuter, section 10.3.6): writes that arrive while one commit is on its
//! way to the disk are committed together by the next one. There is no timer: a single write never
//! waits.

use rusqlite::{Connection, TransactionBehavior};
use shared::actors::Reply;
use shared::fail_point::fail_point;
use shared::sqlite::in_savepoint;

use super::super::StoreError;

/// Writes that wait for the next commit. Belongs to the actor that owns the connection.
#[derive(Default)]
pub(in crate::store) struct GroupCommit {
    waiting: Vec<Box<dyn Write>>,
}

/// The result of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Committed {
    /// How many writes were in the group, including those that failed individually.
    pub(in crate::store) writes: usize,
    /// How many of them changed something and are on the disk now.
    pub(in crate::store) kept: usize,
}

impl GroupCommit {
    /// Adds a write. `work` runs at the next [`GroupCommit::commit`], in a separate savepoint: if
    /// it fails or panics, it alone is rolled back. The reply is sent after the `COMMIT` that
    /// contains it.
    pub(in crate::store) fn push<T, E>(
        &mut self,
        reply: Reply<Result<T, E>>,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.push_with(reply, work, |_| {});
    }

    /// [`GroupCommit::push`] with an action after the `COMMIT` and before the reply is sent: state
    /// in memory is updated after the disk, and a client that was answered sees the new state.
    pub(in crate::store) fn push_with<T, E>(
        &mut self,
        reply: Reply<Result<T, E>>,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        after_commit: impl FnOnce(&T) + Send + 'static,
    ) where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.waiting.push(Box::new(Pending {
            reply,
            work: Some(work),
            outcome: None,
            after_commit,
        }));
    }

    /// Whether there is nothing to commit.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Commits all waiting writes as one transaction, then answers each.
    ///
    /// # Errors
    /// The commit failed, for instance because the disk is full: nothing of the group is kept, and
    /// each write was answered with the error.
    pub(in crate::store) fn commit(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Committed, StoreError> {
        let mut group = std::mem::take(&mut self.waiting);
        let result = run_group(connection, &mut group).map_err(StoreError::from);
        fail_point("committed");
        for write in group {
            write.answer(result.as_ref().err());
        }
        result
    }

    /// Answers all waiting writes with the error: nothing is done.
    pub(in crate::store) fn refuse(&mut self, error: &StoreError) {
        for write in self.waiting.drain(..) {
            write.answer(Some(error));
        }
    }
}

fn run_group(
    connection: &mut Connection,
    group: &mut [Box<dyn Write>],
) -> rusqlite::Result<Committed> {
    // Immediate: a deferred transaction could fail to become a writer half way.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut kept = 0;
    for write in &mut *group {
        if in_savepoint(&transaction, |connection| write.run(connection))? {
            kept += 1;
        }
    }
    transaction.commit()?;
    Ok(Committed { writes: group.len(), kept })
}

trait Write: Send {
    /// Does the work; returns whether to keep it.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Sends the outcome, or the commit's failure instead.
    fn answer(self: Box<Self>, failure: Option<&StoreError>);
}

struct Pending<T, E, F, A> {
    reply: Reply<Result<T, E>>,
    work: Option<F>,
    /// `None` if the work panicked: then the reply is dropped and the client gets an internal
    /// error.
    outcome: Option<Result<T, E>>,
    /// Runs only if the outcome is kept.
    after_commit: A,
}

impl<T, E, F, A> Write for Pending<T, E, F, A>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    A: FnOnce(&T) + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else { return false };
        self.outcome = self.reply.run(|| work(connection));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, failure: Option<&StoreError>) {
        let outcome = match (failure, self.outcome) {
            // The write's own error stays valid, whatever happened to the group.
            (_, Some(Err(own))) => Err(own),
            (Some(failure), _) => Err(E::from(failure.clone())),
            (None, Some(Ok(kept))) => {
                (self.after_commit)(&kept);
                Ok(kept)
            }
            (None, None) => return,
        };
        self.reply.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    type Answer = oneshot::Receiver<Result<usize, StoreError>>;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (x INTEGER NOT NULL UNIQUE) STRICT").unwrap();
        connection
    }

    fn insert(group: &mut GroupCommit, x: i64) -> Answer {
        let (reply, answer) = Reply::channel();
        group.push(reply, move |connection| {
            Ok(connection.execute("INSERT INTO t VALUES (?1)", [x])?)
        });
        answer
    }

    fn sum(connection: &Connection) -> i64 {
        connection.query_row("SELECT coalesce(sum(x), 0) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_write_that_fails_fails_alone() {
        let (mut connection, mut group) = (database(), GroupCommit::default());
        let mut answers = [insert(&mut group, 1), insert(&mut group, 1), insert(&mut group, 2)];
        let committed = group.commit(&mut connection).unwrap();
        assert_eq!(committed, Committed { writes: 3, kept: 2 });
        let kept = answers.each_mut().map(|answer| answer.try_recv().unwrap().is_ok());
        assert_eq!((kept, sum(&connection)), ([true, false, true], 3));
    }

    #[test]
    fn a_write_that_panics_is_undone_and_gets_no_answer() {
        let (mut connection, mut group) = (database(), GroupCommit::default());
        let (reply, mut answer) = Reply::<Result<(), StoreError>>::channel();
        group.push(reply, |connection| {
            connection.execute("INSERT INTO t VALUES (5)", []).unwrap();
            panic!("as the test wants it");
        });
        let mut other = insert(&mut group, 2);
        group.commit(&mut connection).unwrap();
        assert!(answer.try_recv().is_err());
        assert!(other.try_recv().unwrap().is_ok());
        assert_eq!(sum(&connection), 2);
    }

    #[test]
    fn what_is_to_follow_a_commit_is_done_before_the_reply_and_only_if_it_is_kept() {
        let (mut connection, mut group) = (database(), GroupCommit::default());
        let (done, seen) = std::sync::mpsc::channel();
        for _ in 0..2 {
            let (reply, mut answer) = Reply::<Result<usize, StoreError>>::channel();
            let done = done.clone();
            group.push_with(
                reply,
                |connection| Ok(connection.execute("INSERT INTO t VALUES (1)", [])?),
                move |_| done.send(answer.try_recv().is_err()).unwrap(),
            );
        }
        group.commit(&mut connection).unwrap();
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [true]);
    }

    #[test]
    fn when_the_commit_fails_everybody_is_told_and_nothing_is_kept() {
        let (mut connection, mut group) = (database(), GroupCommit::default());
        // A foreign key that is checked at COMMIT makes the commit itself fail.
        let broken = "PRAGMA foreign_keys = 1;
            CREATE TABLE u (x INTEGER REFERENCES t (x) DEFERRABLE INITIALLY DEFERRED) STRICT;
            CREATE TRIGGER break AFTER INSERT ON t BEGIN INSERT INTO u VALUES (-1); END;";
        connection.execute_batch(broken).unwrap();
        let mut answers = [insert(&mut group, 1), insert(&mut group, 2)];
        assert!(group.commit(&mut connection).is_err());
        assert!(answers.iter_mut().all(|answer| answer.try_recv().unwrap().is_err()));
        assert_eq!(sum(&connection), 0);
    }
}
