//! **Owns** one read-only connection to the projection; there is one reader on each HTTP worker's
//! thread, so a look-up is a local message.
//!
//! **Promises** to answer from what was committed before it was asked.
//!
//! **When full** refuses: 503 with `Retry-After`.
//!
//! **When it dies**: a query that panics fails alone. A connection that cannot be had is asked for
//! again with the next query.

use actix::{Actor, Context, Handler};
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::sqlite::{OpenError, ReadPool, Reader, StoreError};

use crate::domain::Credential;
use crate::store::projection;

/// Look-ups that may wait on one worker.
const MAILBOX: usize = 1024;

/// "Who has this name?"
pub struct FindCredential {
    /// The forms in which it is compared: the first that somebody has counts.
    pub username_keys: Vec<String>,
}

impl Command for FindCredential {
    type Reply = Result<Option<Credential>, FindError>;
}

/// Nothing was found out.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No connection.
    #[error("the projection cannot be opened")]
    Open(#[source] OpenError),
    /// The query failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One worker's reader.
pub struct CredentialReader {
    /// Shared by all readers; has one connection for each.
    pool: ReadPool,
    /// Taken at the first query and kept.
    connection: Option<Reader>,
}

impl CredentialReader {
    /// Starts a reader on this thread.
    pub fn launch(pool: ReadPool, health: &Health) -> Mailbox<Self> {
        Mailbox::start(health, MAILBOX, |_| Self { pool, connection: None })
    }

    fn find(&mut self, username_keys: &[String]) -> Result<Option<Credential>, FindError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.pool.get().map_err(|error| FindError::Open(error.into()))?),
        };
        for key in username_keys {
            if let Some(found) = projection::find_credential(connection, key)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Actor for CredentialReader {
    type Context = Context<Self>;
}

impl Handler<Ask<FindCredential>> for CredentialReader {
    type Result = ();

    fn handle(&mut self, ask: Ask<FindCredential>, _: &mut Self::Context) {
        ask.answer(|command| self.find(&command.username_keys));
    }
}
