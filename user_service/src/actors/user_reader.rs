//! The reader of one HTTP worker.
//!
//! **Owns** one read-only connection.
//!
//! **Promises** what was committed when it was asked. It lives on its worker's own thread, so a
//! read is a local message and no hop. What waits together is read in one transaction, as the
//! writer commits together: to open one for each read costs more than the read. While nothing is
//! written, one transaction serves for some milliseconds.
//!
//! **When full** refuses at once: 503 with `Retry-After`.
//!
//! **When it dies** the worker's requests fail with 500; without a connection it asks for one again
//! at the next request.

use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, Message};
use contract::UserId;
use rusqlite::Connection;
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::clock::Clock;
use shared::identity::Username;
use shared::sqlite::idempotency::{self, IdempotentRequest, Lookup};
use shared::sqlite::{CommitCount, ReadPool, Reader, StoreError, map_into_memory};

use super::user_repository::{CreateError, Created, decode_first_answer};
use crate::domain::{Credentials, User};
use crate::store::{self, users};

/// How many requests of one worker may wait.
const MAILBOX_CAPACITY: usize = 1024;
/// When nothing was committed for so long, a transaction is kept. Not sooner: readers that are
/// always there would keep the WAL from being begun anew, and it would grow.
const QUIET: Duration = Duration::from_secs(1);
/// How long it is kept at the most. The writer of this process ends it earlier; this is for
/// whoever else may write to the file.
const KEPT: Duration = Duration::from_millis(10);

/// "Who has this id?"
#[derive(Clone, Copy, Debug)]
pub struct FindUser(pub UserId);

/// "Who has this name?"
#[derive(Clone, Debug)]
pub struct FindUserByName(pub Username);

/// "What proves to be the user with this id?"
#[derive(Clone, Copy, Debug)]
pub struct FindCredentials(pub UserId);

/// "Which users come next?", in order of their ids.
#[derive(Clone, Copy, Debug)]
pub struct ListUsers {
    /// Only ids above this one.
    pub after: i64,
    /// At most this many.
    pub limit: u32,
}

/// "What was answered to this request before?" Saves the hashing; the writer decides.
#[derive(Clone, Debug)]
pub struct FindFirstAnswer(pub IdempotentRequest);

impl Command for FindUser {
    type Reply = Result<Option<User>, StoreError>;
}

impl Command for FindUserByName {
    type Reply = Result<Option<User>, StoreError>;
}

impl Command for FindCredentials {
    type Reply = Result<Option<Credentials>, StoreError>;
}

impl Command for ListUsers {
    type Reply = Result<Vec<User>, StoreError>;
}

impl Command for FindFirstAnswer {
    type Reply = Result<Option<Created>, CreateError>;
}

/// The reader.
pub struct UserReader {
    /// Where the connection comes from.
    pool: ReadPool,
    /// Kept from the first request on, with its prepared statements.
    connection: Option<Reader>,
    /// A transaction is open, and an [`EndReads`] is on its way.
    is_reading: bool,
    /// What the writer has committed.
    commits: CommitCount,
    /// The number of commits that was seen last, and when it was first seen.
    seen: (u64, Instant),
    /// Tells whether an idempotency key has expired.
    clock: Clock,
}

impl UserReader {
    /// Starts it on this thread.
    pub fn launch(
        pool: ReadPool,
        commits: CommitCount,
        clock: Clock,
        health: &Health,
    ) -> Mailbox<Self> {
        let seen = (commits.get(), Instant::now());
        let reader = Self { pool, connection: None, is_reading: false, commits, seen, clock };
        Mailbox::start(health, MAILBOX_CAPACITY, |_| reader)
    }

    /// The connection, in a transaction that sees all that was committed by now: either what waits
    /// by now is read in it, and who asks later, on this thread, gets another; or the writer has
    /// committed nothing since it was begun.
    fn begin(&mut self, context: &mut Context<Self>) -> Result<&Connection, StoreError> {
        let count = self.commits.get();
        if count != self.seen.0 {
            self.seen = (count, Instant::now());
            if self.is_reading {
                self.end();
            }
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let connection = self.connection.insert(connection);
        if !self.is_reading {
            connection.prepare_cached("BEGIN")?.execute([])?;
            self.is_reading = true;
            if self.seen.1.elapsed() < QUIET {
                context.notify(EndReads);
            } else {
                context.notify_later(EndReads, KEPT);
            }
        }
        Ok(connection)
    }

    fn connect(&self) -> Result<Reader, StoreError> {
        let connection = store::check_out(&self.pool)?;
        map_into_memory(&connection)?;
        Ok(connection)
    }

    /// Without the connection if that fails: the next request asks for one again.
    fn end(&mut self) {
        self.is_reading = false;
        self.connection = self.connection.take().filter(|connection| {
            connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).is_ok()
        });
    }
}

impl Actor for UserReader {
    type Context = Context<Self>;
}

impl Handler<Ask<FindUser>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindUser>, context: &mut Self::Context) {
        ask.answer(|FindUser(id)| users::find(self.begin(context)?, id));
    }
}

impl Handler<Ask<FindUserByName>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindUserByName>, context: &mut Self::Context) {
        ask.answer(|FindUserByName(name)| users::find_by_name(self.begin(context)?, &name));
    }
}

impl Handler<Ask<FindCredentials>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindCredentials>, context: &mut Self::Context) {
        ask.answer(|FindCredentials(id)| users::find_credentials(self.begin(context)?, id));
    }
}

impl Handler<Ask<ListUsers>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<ListUsers>, context: &mut Self::Context) {
        ask.answer(|ListUsers { after, limit }| users::list(self.begin(context)?, after, limit));
    }
}

impl Handler<Ask<FindFirstAnswer>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindFirstAnswer>, context: &mut Self::Context) {
        ask.answer(|FindFirstAnswer(request)| {
            let now_ms = self.clock.unix_ms();
            match idempotency::find(self.begin(context)?, &request, now_ms)? {
                Lookup::Nothing => Ok(None),
                Lookup::OtherRequest => Err(CreateError::KeyReused),
                Lookup::Outcome(outcome) => Ok(Some(decode_first_answer(&outcome)?)),
            }
        });
    }
}

/// To itself: end the transaction.
#[derive(Message)]
#[rtype(result = "()")]
struct EndReads;

impl Handler<EndReads> for UserReader {
    type Result = ();
    fn handle(&mut self, _: EndReads, _: &mut Self::Context) {
        // Of a transaction that a commit has ended already, it ends the next one early.
        if self.is_reading {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::user_repository::test_repository::{TestRepository, create_as};
    use super::*;
    use futures_util::future::join_all;
    use shared::actors::ask;

    fn launch(repository: &TestRepository) -> Mailbox<UserReader> {
        let (pool, commits) = (repository.pool.clone(), repository.commits.clone());
        UserReader::launch(pool, commits, Clock::system(), &Health::default())
    }

    async fn create_and_find(
        repository: &TestRepository,
        reader: &Mailbox<UserReader>,
        name: &str,
    ) {
        let id = create_as(repository, name).await.user.id;
        let found = join_all((0..20).map(|_| ask(reader, FindUser(id)))).await;
        assert!(found.into_iter().all(|user| user.unwrap().unwrap().unwrap().id == id), "{name}");
    }

    #[actix::test]
    async fn what_waits_together_is_answered_and_what_is_committed_later_is_seen_later() {
        let repository = TestRepository::start();
        let reader = launch(&repository);
        for n in 1..=5 {
            create_and_find(&repository, &reader, &format!("user{n}")).await;
        }
        assert_eq!(ask(&reader, FindUser(UserId(6))).await.unwrap().unwrap(), None);
    }

    #[actix::test]
    async fn what_is_committed_is_seen_although_a_transaction_is_kept() {
        let repository = TestRepository::start();
        let reader = launch(&repository);
        for n in 1..=2 {
            tokio::time::sleep(QUIET).await;
            assert_eq!(ask(&reader, FindUser(UserId(n))).await.unwrap().unwrap(), None);
            create_and_find(&repository, &reader, &format!("user{n}")).await;
        }
    }

    #[actix::test]
    async fn a_kept_transaction_ends_whoever_writes() {
        let repository = TestRepository::start();
        let reader = launch(&repository);
        create_and_find(&repository, &reader, "anna").await;
        tokio::time::sleep(QUIET).await;
        ask(&reader, FindUser(UserId(1))).await.unwrap().unwrap();
        let path = repository.directory.path().join("users.db");
        Connection::open(path).unwrap().execute("DELETE FROM users", []).unwrap();
        let is_gone =
            || async { ask(&reader, FindUser(UserId(1))).await.unwrap().unwrap().is_none() };
        tokio::time::sleep(2 * KEPT).await;
        assert!(is_gone().await);
    }
}
