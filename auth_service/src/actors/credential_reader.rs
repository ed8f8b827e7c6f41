//! **Owns** one read-only connection to the projection; there is one reader on each HTTP worker's
//! thread, so a look-up is a local message.
//!
//! **Promises** to answer from what was committed before it was asked.
//!
//! **When full** refuses: 503 with `Retry-After`.
//!
//! **When it dies**: a query that panics fails alone. A connection that cannot be opened is
//! opened with the next query. While the disk is full, it reads what is there.

use std::rc::Rc;

use actix::{Actor, Context, Handler};
use shared::actors::{Ask, Command, Health, Mailbox};

use crate::domain::{Credential, Lot};
use crate::store::{ProjectionReader, StoreError};

/// Look-ups that may wait on one worker.
const MAILBOX: usize = 1024;

/// "Who has this name?"
pub struct FindCredential {
    /// The forms in which it is compared: the first that somebody has counts.
    pub username_keys: Vec<String>,
}

impl Command for FindCredential {
    type Reply = Result<Option<Credential>, StoreError>;
}

/// "On whom does this lot fall?" Nobody, if there are no users.
pub struct FindStandIn(pub Lot);

impl Command for FindStandIn {
    type Reply = Result<Option<Credential>, StoreError>;
}

/// One worker's reader.
pub struct CredentialReader {
    reader: Rc<ProjectionReader>,
}

impl CredentialReader {
    /// Starts the actor on this thread, which shares the reader with the checks of tokens.
    pub fn launch(reader: Rc<ProjectionReader>, health: &Health) -> Mailbox<Self> {
        Mailbox::start(health, MAILBOX, |_| Self { reader })
    }

    fn find(&self, username_keys: &[String]) -> Result<Option<Credential>, StoreError> {
        for key in username_keys {
            if let Some(found) = self.reader.find_credential(key)? {
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

impl Handler<Ask<FindStandIn>> for CredentialReader {
    type Result = ();

    fn handle(&mut self, ask: Ask<FindStandIn>, _: &mut Self::Context) {
        ask.answer(|FindStandIn(lot)| self.reader.find_stand_in(lot));
    }
}
