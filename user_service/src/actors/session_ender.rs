//! Ends all sessions of a user when auth_service asks for it.
//!
//! **Owns** nothing: it passes the command to the writer.
//!
//! **Promises** nothing to the sender but the record in the log, which every follower gets. The
//! command names the stamp that it ends, so one that comes twice, late, or by the other way, too, does
//! nothing.
//!
//! **When full**, which means that the writer's mailbox is full, the command is dropped: the sender
//! sees no record, and its client repeats the request.
//!
//! **When it dies**, commands wait in their queue; over HTTP they arrive all the same.

use std::error::Error;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use contract::EndSessions;
use contract::topology::END_SESSIONS_QUEUE;
use shared::actors::{AskError, Health, Mailbox, ask};
use shared::bus::cloud_event::Codec;

use super::consuming::{BusAccess, NotNow, receive, shared_queue};
use super::user_repository::UserRepository;
use crate::store::{self, Change, ChangeError};

/// The name of the loop, in the log and at `/readyz`.
const RECEIVING: &str = "ending sessions";
/// How many messages may be on their way here.
const PREFETCH: u16 = 16;

/// The receiver of the commands that come through the broker.
pub struct SessionEnder {
    access: BusAccess,
    repository: Mailbox<UserRepository>,
    health: Health,
}

impl SessionEnder {
    /// Passes messages from the bus to the writer.
    pub fn new(access: BusAccess, repository: Mailbox<UserRepository>, health: Health) -> Self {
        Self { access, repository, health }
    }
}

impl Actor for SessionEnder {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let (access, repository) = (self.access.clone(), self.repository.clone());
        let health = self.health.clone();
        let running = async move {
            let queue = (RECEIVING, shared_queue(END_SESSIONS_QUEUE, PREFETCH));
            let take = async |command| take(&repository, command).await;
            receive(&access, &health, queue, Codec::decode_end_sessions, take).await;
        };
        context.spawn(running.into_actor(self).map(|(), _, _| ()));
    }
}

async fn take(
    repository: &Mailbox<UserRepository>,
    (command, traceparent): (EndSessions, Option<String>),
) -> Result<(), NotNow> {
    let user_id = command.id.0;
    let failure: Box<dyn Error> = match end_sessions(repository, command, traceparent).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => {
            NotNow::because_of_change(&error)?;
            error.into()
        }
        Err(error) => error.into(),
    };
    tracing::warn!(error = &*failure, user_id, "sessions were not ended");
    Ok(())
}

/// Ends the sessions. When this returns without an error, they have ended for good: the record is in
/// the log, or the stamp was replaced before, or the user is gone.
pub async fn end_sessions(
    repository: &Mailbox<UserRepository>,
    EndSessions { id, stamp }: EndSessions,
    traceparent: Option<String>,
) -> Result<Result<(), ChangeError>, AskError> {
    let change = store::EndSessions { id, stamp: Some(stamp), traceparent };
    Ok(match ask(repository, Change::EndSessions(change)).await? {
        Ok(_) | Err(ChangeError::NoSuchUser) => Ok(()),
        Err(error) => Err(error),
    })
}
