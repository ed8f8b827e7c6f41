//! How a change becomes a record of the log.

use std::sync::Arc;

use contract::EventKind;
use rusqlite::Connection;
use shared::clock::Clock;
use shared::hashing::PasswordHash;
use shared::secrets::SealingKey;
use shared::sqlite::StoreError;

use crate::actors::user_data::user_data;
use crate::domain::User;
use crate::store::log::{self, NewRecord};

/// Writes records. Every change of a group holds a clone.
#[derive(Clone)]
pub struct Recorder {
    /// Seals the hashes.
    pub(super) sealing_key: Arc<SealingKey>,
    /// Tells when a change was recorded.
    pub(super) clock: Clock,
}

impl Recorder {
    /// Appends what happened to the user to the log; the record's number. `password_hash` is
    /// absent when the user is deleted.
    pub(super) fn append(
        &self,
        connection: &Connection,
        kind: EventKind,
        user: &User,
        password_hash: Option<&PasswordHash>,
        traceparent: Option<&str>,
    ) -> Result<i64, StoreError> {
        let data = user_data(user, password_hash, &self.sealing_key);
        let data = serde_json::to_string(&data)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let recorded_at_ms = self.clock.unix_ms();
        log::append(connection, &NewRecord { kind, recorded_at_ms, traceparent, data: &data })
    }
}
