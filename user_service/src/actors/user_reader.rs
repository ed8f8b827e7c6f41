//! The reader of one HTTP worker.
//!
//! **Owns** one read-only connection.
//!
//! **Promises** what was committed when it was asked. It lives on its worker's own thread, so a
//! read is a local message and no hop.
//!
//! **When full** refuses at once: 503 with `Retry-After`.
//!
//! **When it dies** the worker's requests fail with 500; without a connection it asks for one again
//! at the next request.

use actix::{Actor, Addr, Context, Handler};
use rusqlite::Connection;
use shared::actors::{Ask, Command};
use shared::clock::Clock;
use shared::contract::UserId;
use shared::precis::Username;
use shared::sqlite::idempotency::{self, IdempotentRequest, Known};
use shared::sqlite::{ReadPool, Reader, StoreError};

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
    /// Tells whether an idempotency key has expired.
    clock: Clock,
}

impl UserReader {
    /// Starts it on this thread.
    pub fn launch(pool: ReadPool, clock: Clock) -> Addr<Self> {
        Self::create(|context| {
            context.set_mailbox_capacity(MAILBOX_CAPACITY);
            Self { pool, connection: None, clock }
        })
    }

    fn connection(&mut self) -> Result<&Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => store::check_out(&self.pool)?,
        };
        Ok(self.connection.insert(connection))
    }
}

impl Actor for UserReader {
    type Context = Context<Self>;
}

impl Handler<Ask<FindUser>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindUser>, _: &mut Self::Context) {
        ask.answer(|FindUser(id)| users::find(self.connection()?, id));
    }
}

impl Handler<Ask<FindUserByName>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindUserByName>, _: &mut Self::Context) {
        ask.answer(|FindUserByName(name)| users::find_by_name(self.connection()?, &name));
    }
}

impl Handler<Ask<FindCredentials>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindCredentials>, _: &mut Self::Context) {
        ask.answer(|FindCredentials(id)| users::find_credentials(self.connection()?, id));
    }
}

impl Handler<Ask<ListUsers>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<ListUsers>, _: &mut Self::Context) {
        ask.answer(|ListUsers { after, limit }| users::list(self.connection()?, after, limit));
    }
}

impl Handler<Ask<FindFirstAnswer>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindFirstAnswer>, _: &mut Self::Context) {
        ask.answer(|FindFirstAnswer(request)| {
            let now_ms = self.clock.unix_ms();
            match idempotency::find(self.connection()?, &request, now_ms)? {
                Known::Nothing => Ok(None),
                Known::OtherRequest => Err(CreateError::KeyReused),
                Known::Outcome(outcome) => Ok(Some(decode_first_answer(&outcome)?)),
            }
        });
    }
}
