//! `DeleteUser`.

use contract::{EventKind, UserChange, UserId};
use rusqlite::Connection;
use shared::actors::Command;
use shared::sqlite::StoreError;

use super::Change;
use super::recorder::Recorder;
use crate::domain::{Precondition, Written};
use crate::store::{digest, users};

/// "Delete this user": appends `user.deleted`.
#[derive(Debug)]
pub struct DeleteUser {
    /// The user.
    pub id: UserId,
    /// What must hold of the user.
    pub precondition: Precondition,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// Why the user is as before.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// There is none.
    #[error("there is no such user")]
    NoSuchUser,
    /// The precondition does not hold.
    #[error("the user has changed")]
    PreconditionFailed,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Command for DeleteUser {
    type Reply = Result<Written, DeleteError>;
}

impl Change for DeleteUser {
    type Done = Written;
    type Error = DeleteError;

    fn apply(self, connection: &Connection, recorder: &Recorder) -> Result<Written, DeleteError> {
        let user = users::find(connection, self.id)?.ok_or(DeleteError::NoSuchUser)?;
        if !self.precondition.holds(&user) {
            return Err(DeleteError::PreconditionFailed);
        }
        users::delete(connection, user.id)?;
        digest::replace(connection, Some(&user), None)?;
        let change = UserChange { id: user.id, user: None };
        let traceparent = self.traceparent.as_deref();
        let seq = recorder.append_change(connection, EventKind::DELETED, &change, traceparent)?;
        Ok(Written { user, seq })
    }
}
