//! The reader of one HTTP worker.
//!
//! **Owns** one read-only connection.
//!
//! **Promises** what was committed when it was asked. It lives on its worker's own thread, so a
//! read is a local message and no hop. What waits together is read in one transaction, as the
//! writer commits together: to open one for each read costs more than the read.
//!
//! **When full** refuses at once: 503 with `Retry-After`.
//!
//! **When it dies** the worker's requests fail with 500; without a connection it asks for one again
//! at the next request.

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use rusqlite::Connection;
use shared::actors::{Ask, Command};
use shared::clock::Clock;
use shared::contract::UserId;
use shared::precis::Username;
use shared::sqlite::idempotency::{self, IdempotentRequest, Known};
use shared::sqlite::{ReadPool, Reader, StoreError, map_into_memory};

use super::user_repository::{CreateError, Created, decode_first_answer};
use crate::domain::{Credentials, User};
use crate::store::{self, users};

/// How many requests of one worker may wait.
const MAILBOX_CAPACITY: usize = 1024;

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
    /// A transaction is open, and [`EndReads`] is on its way.
    is_reading: bool,
    /// Tells whether an idempotency key has expired.
    clock: Clock,
}

impl UserReader {
    /// Starts it on this thread.
    pub fn launch(pool: ReadPool, clock: Clock) -> Addr<Self> {
        Self::create(|context| {
            context.set_mailbox_capacity(MAILBOX_CAPACITY);
            Self { pool, connection: None, is_reading: false, clock }
        })
    }

    /// The connection, in the transaction of all that waits by now. Who asks runs on this thread
    /// too, so nobody who asks after this has begun is answered from it.
    fn begin(&mut self, context: &mut Context<Self>) -> Result<&Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let connection = self.connection.insert(connection);
        if !self.is_reading {
            connection.prepare_cached("BEGIN")?.execute([])?;
            self.is_reading = true;
            context.notify(EndReads);
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
                Known::Nothing => Ok(None),
                Known::OtherRequest => Err(CreateError::KeyReused),
                Known::Outcome(outcome) => Ok(Some(decode_first_answer(&outcome)?)),
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
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::super::user_repository::testkit::{TestRepository, create_as};
    use super::*;
    use futures_util::future::join_all;
    use shared::actors::ask;

    #[actix::test]
    async fn what_waits_together_is_answered_and_what_is_committed_later_is_seen_later() {
        let repository = TestRepository::start();
        let reader = UserReader::launch(repository.pool.clone(), Clock::system());
        for n in 1..=5 {
            let id = create_as(&repository, &format!("user{n}")).await.user.id;
            let found = join_all((0..20).map(|_| ask(&reader, FindUser(id)))).await;
            assert!(found.into_iter().all(|user| user.unwrap().unwrap().unwrap().id == id));
        }
        assert_eq!(ask(&reader, FindUser(UserId(6))).await.unwrap().unwrap(), None);
    }
}
