//! What is stored twice, read both ways.

use std::path::Path;

use contract::token_record::{KeyId, TokenRecordId};
use contract::{Position, TokenRecord, UserId, UsersChecksum};
use rusqlite::{Connection, OptionalExtension};
use shared::backup::Stop;
use shared::checking::CheckFailed;

use super::super::StoreError;
use super::totals::{Totals, find_hash_counts};
use super::{PROJECTION_FILE, TOKENS_FILE};

/// Opens the projection in a read transaction, and checks its structure.
pub(in crate::store) fn open_projection(
    path: &Path,
    stop: &Stop,
) -> Result<Connection, CheckFailed> {
    PROJECTION_FILE.open_to_check(path, stop)
}

/// The same for the token set.
pub(in crate::store) fn open_tokens(path: &Path, stop: &Stop) -> Result<Connection, CheckFailed> {
    TOKENS_FILE.open_to_check(path, stop)
}

/// What is stored about all users together, and what they come to.
pub(in crate::store) struct Summed {
    /// `None` if a version that made none wrote it.
    pub(in crate::store) stored: Option<UsersChecksum>,
    /// What the users that are there come to.
    pub(in crate::store) checksum: UsersChecksum,
    /// Whether the numbers of hashes by key are those of the hashes that are there.
    pub(in crate::store) are_hashes_counted: bool,
    pub(in crate::store) users: i64,
    pub(in crate::store) highest_id: Option<UserId>,
}

/// Reads all users.
pub(in crate::store) fn sum(connection: &Connection) -> Result<Summed, StoreError> {
    let totals = Totals::sum(connection)?;
    let sql = "SELECT checksum FROM projection_cursor";
    let stored: Option<Option<[u8; 16]>> =
        connection.query_row(sql, [], |row| row.get(0)).optional()?;
    let sql = "SELECT count(*), max(user_id) FROM credentials";
    let (users, highest): (i64, Option<i64>) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut counts = find_hash_counts(connection)?;
    counts.sort_unstable();
    Ok(Summed {
        stored: stored.flatten().map(UsersChecksum),
        checksum: totals.checksum,
        are_hashes_counted: counts == totals.hash_counts(),
        users,
        highest_id: highest.map(UserId),
    })
}

/// Users whose security stamp is a record after this place.
pub(in crate::store) fn find_ahead(
    connection: &Connection,
    place: Position,
) -> Result<Vec<UserId>, StoreError> {
    let sql = "SELECT user_id FROM credentials WHERE substr(stamp, 1, 8) > ?1 ORDER BY user_id";
    let mut statement = connection.prepare(sql)?;
    let ids = statement.query_map([&place.seq.to_be_bytes()[..]], |row| row.get(0).map(UserId))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// A row of the token set: its id, and the record in it, if it is one.
pub(in crate::store) type Row = (TokenRecordId, Option<TokenRecord>);

/// All rows of the token set.
pub(in crate::store) fn find_rows(connection: &Connection) -> Result<Vec<Row>, StoreError> {
    let mut statement = connection.prepare("SELECT id, record FROM token_records")?;
    let rows = statement.query_map([], |row| {
        let bytes: Vec<u8> = row.get(1)?;
        Ok((TokenRecordId(row.get(0)?), TokenRecord::from_bytes(&bytes).ok()))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The keys of this replica.
pub(in crate::store) fn find_own_keys(connection: &Connection) -> Result<Vec<KeyId>, StoreError> {
    let mut statement = connection.prepare("SELECT kid FROM own_keys ORDER BY place")?;
    let rows = statement.query_map([], |row| row.get(0).map(KeyId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
