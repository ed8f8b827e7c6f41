//! How a change becomes a record of the log.

use contract::{EventKind, UserChange};
use rusqlite::Connection;
use shared::clock::Clock;
use shared::secrets::SealingKeys;
use shared::sqlite::StoreError;
use std::sync::Arc;

use crate::actors::sealed_user::user_state;
use crate::domain::User;
use crate::store::log::{self, NewRecord};

/// Writes records. Every change of a group holds a clone.
#[derive(Clone)]
pub struct Recorder {
    /// Opens the hashes that auth_service sends.
    pub(super) sealing_key: Arc<SealingKeys>,
    /// Tells when a change was recorded.
    pub(super) clock: Clock,
}

impl Recorder {
    /// Appends what happened to a user who is still there to the log; the record's number.
    pub(super) fn append(
        &self,
        connection: &Connection,
        kind: EventKind,
        user: &User,
        traceparent: Option<&str>,
    ) -> Result<i64, StoreError> {
        let change = UserChange { id: user.id, user: Some(user_state(connection, user)?) };
        self.append_change(connection, kind, &change, traceparent)
    }

    /// Appends a change to the log; the record's number.
    pub(super) fn append_change(
        &self,
        connection: &Connection,
        kind: EventKind,
        change: &UserChange,
        traceparent: Option<&str>,
    ) -> Result<i64, StoreError> {
        let data = serde_json::to_string(change)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let recorded_at_ms = self.clock.unix_ms();
        log::append(connection, &NewRecord { kind, recorded_at_ms, traceparent, data: &data })
    }
}
