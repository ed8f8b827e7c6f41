//! `RecordPublished`.

use rusqlite::Connection;
use shared::actors::Command;
use shared::sqlite::StoreError;

use super::Change;
use super::recorder::Recorder;
use crate::store::published;

/// "The bus has confirmed all events up to this one": the next start goes on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPublished {
    /// The last one's number.
    pub seq: i64,
}

impl Command for RecordPublished {
    type Reply = Result<(), StoreError>;
}

impl Change for RecordPublished {
    type Done = ();
    type Error = StoreError;

    fn apply(self, connection: &Connection, _: &Recorder) -> Result<(), StoreError> {
        published::advance(connection, self.seq)
    }
}
