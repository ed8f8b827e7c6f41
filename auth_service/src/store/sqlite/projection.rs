//! The projection of user_service's log: credentials, and the cursor in the same transaction.

use contract::{
    Cursor, Incarnation, Position, RecordData, RecordHash, SealedHash, UserChange, UserId,
    UserState, UsersChecksum,
};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use shared::log_sync::NextChange;

use super::super::{ApplyError, StoreError};
use super::totals::{Totals, share_of};
use crate::domain::{Credential, Lot, Profile};

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The stored cursor; none before the first answer of user_service.
pub(in crate::store) fn find_cursor(connection: &Connection) -> Result<Option<Cursor>, StoreError> {
    let sql = "SELECT incarnation, seq, hash FROM projection_cursor";
    Ok(connection.prepare_cached(sql)?.query_row([], read_cursor).optional()?)
}

fn read_cursor(row: &Row<'_>) -> rusqlite::Result<Cursor> {
    let parsed = |index: usize, text: String| {
        text.parse::<RecordHash>().map(|hash| hash.0).map_err(|error| {
            let kind = rusqlite::types::Type::Text;
            rusqlite::Error::FromSqlConversionFailure(index, kind, Box::new(error))
        })
    };
    let position = Position { seq: row.get(1)?, hash: RecordHash(parsed(2, row.get(2)?)?) };
    Ok(Cursor { incarnation: Incarnation(parsed(0, row.get(0)?)?), position })
}

/// Stores the cursor, with the checksum over all users there.
pub(super) fn write_cursor(
    connection: &Connection,
    cursor: &Cursor,
    checksum: UsersChecksum,
) -> rusqlite::Result<usize> {
    let Cursor { incarnation, position: Position { seq, hash } } = cursor;
    connection
        .prepare_cached("INSERT OR REPLACE INTO projection_cursor VALUES (1, ?1, ?2, ?3, ?4)")?
        .execute(params![incarnation.to_string(), seq, hash.to_string(), checksum.0])
}

/// The checksum over all users at the cursor. It is updated with each change, and computed from the
/// users where an earlier version has left none.
pub(in crate::store) fn find_checksum(
    connection: &Connection,
) -> Result<UsersChecksum, StoreError> {
    let mut statement = connection.prepare_cached("SELECT checksum FROM projection_cursor")?;
    let kept: Option<Option<[u8; 16]>> = statement.query_row([], |row| row.get(0)).optional()?;
    match kept.flatten() {
        Some(checksum) => Ok(UsersChecksum(checksum)),
        None => Ok(Totals::sum(connection)?.checksum),
    }
}

/// Applies the changes in their order, and the cursor behind them, in one transaction. There may
/// be no changes: then a new incarnation vouches for the place. Answers with the checksum over all
/// users then. The lock comes before the first read, because SQLite waits for it only then.
pub(in crate::store) fn apply(
    connection: &mut Connection,
    changes: &[NextChange],
    cursor: &Cursor,
) -> Result<UsersChecksum, ApplyError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    check_continuity(find_cursor(&transaction)?.unwrap_or_default(), changes, cursor)?;
    let mut totals = Totals::at(find_checksum(&transaction)?);
    for next in changes {
        apply_one(&transaction, next, &mut totals)?;
    }
    let ids = changes.iter().filter_map(|next| next.data.user()).map(|change| change.id.0);
    note_id(&transaction, ids.max())?;
    totals.write_hash_counts(&transaction)?;
    write_cursor(&transaction, cursor, totals.checksum)?;
    transaction.commit()?;
    Ok(totals.checksum)
}

/// The follower ensures this. It is checked here again, because a gap would never be noticed.
fn check_continuity(
    stored: Cursor,
    changes: &[NextChange],
    cursor: &Cursor,
) -> Result<(), ApplyError> {
    let mut at = stored.position;
    for next in changes {
        if (next.position.seq, next.prev_hash) != (at.seq + 1, at.hash) {
            return Err(unappliable(next.position.seq, "it does not follow what is stored"));
        }
        at = next.position;
    }
    if at == cursor.position {
        Ok(())
    } else {
        Err(unappliable(cursor.position.seq, "the records do not lead to the cursor"))
    }
}

/// The highest id that a user has ever had here; none before the first.
pub(in crate::store) fn find_highest_id(
    connection: &Connection,
) -> Result<Option<UserId>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM highest_id WHERE id > 0")?;
    Ok(statement.query_row([], |row| row.get(0).map(UserId)).optional()?)
}

/// Remembers the id, if it is the highest.
pub(super) fn note_id(connection: &Connection, id: Option<i64>) -> rusqlite::Result<()> {
    if let Some(id) = id {
        let sql = "UPDATE highest_id SET id = ?1 WHERE id < ?1";
        connection.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

/// Writes what the record leaves, whatever its kind is, and updates the totals.
fn apply_one(
    connection: &Connection,
    NextChange { position, data, sealed_hash, .. }: &NextChange,
    totals: &mut Totals,
) -> Result<(), ApplyError> {
    match data {
        RecordData::User(change) => {
            apply_change(connection, *position, change, sealed_hash.as_ref(), totals)
        }
        // The totals do not depend on stamps.
        RecordData::Rewound(_) => {
            connection
                .prepare_cached("UPDATE credentials SET stamp = ?1")?
                .execute([position.to_bytes()])?;
            Ok(())
        }
    }
}

/// Writes what the record at `position` leaves of the user.
fn apply_change(
    connection: &Connection,
    position: Position,
    change: &UserChange,
    sealed_hash: Option<&SealedHash>,
    totals: &mut Totals,
) -> Result<(), ApplyError> {
    if let Some(before) = share_of(connection, change.id)? {
        totals.subtract(before);
    }
    match &change.user {
        Some(state) => {
            let stamp = stamp_of(connection, change.id, state, position)?;
            write(connection, UPSERT, (change.id, state, sealed_hash, Some(stamp)))
                .map_err(|error| error.at(position.seq))?;
        }
        None => {
            connection
                .prepare_cached("DELETE FROM credentials WHERE user_id = ?1")?
                .execute([change.id.0])?;
        }
    }
    if let Some(after) = share_of(connection, change.id)? {
        totals.add(after);
    }
    Ok(())
}

/// The user's security stamp after the record at `position`. A record that does not name it is the
/// stamp if it sets the password. Records of a user_service that knew no stamps may leave the
/// password as it was; then the stamp stays, too.
fn stamp_of(
    connection: &Connection,
    id: UserId,
    state: &UserState,
    position: Position,
) -> Result<Position, StoreError> {
    if let Some(stamp) = state.stamp {
        return Ok(stamp);
    }
    let sql = "SELECT stamp FROM credentials WHERE user_id = ?1 AND password_version = ?2";
    let known = connection
        .prepare_cached(sql)?
        .query_row((id.0, state.password_version), |row| row.get(0).map(Position::from_bytes));
    Ok(known.optional()?.unwrap_or(position))
}

/// A record without a hash leaves the one of the same password as it is.
const UPSERT: &str = "INSERT INTO credentials VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (user_id) DO UPDATE SET
    username = excluded.username, username_key = excluded.username_key, version = excluded.version,
    sealed_hash = CASE WHEN excluded.sealed_hash IS NULL
                        AND excluded.password_version = password_version
                       THEN sealed_hash ELSE excluded.sealed_hash END,
    password_version = excluded.password_version, stamp = excluded.stamp,
    is_admin = excluded.is_admin";

/// Why a user was not written.
pub(super) enum WriteError {
    /// The user is at fault.
    Refused(String),
    /// The database is.
    Store(StoreError),
}

impl WriteError {
    pub(super) fn at(self, seq: i64) -> ApplyError {
        match self {
            Self::Refused(reason) => ApplyError::Unappliable { seq, reason },
            Self::Store(error) => ApplyError::Store(error),
        }
    }
}

/// Writes the user with a statement whose parameters are the columns in their order.
pub(super) fn write(
    connection: &Connection,
    sql: &str,
    (id, state, sealed_hash, stamp): (UserId, &UserState, Option<&SealedHash>, Option<Position>),
) -> Result<(), WriteError> {
    let UserState { username, username_key, version, password_version, is_admin, .. } = state;
    let stamp = stamp.map(Position::to_bytes);
    let sealed_hash = sealed_hash.map(SealedHash::as_str);
    let prepared = connection.prepare_cached(sql);
    let mut statement = prepared.map_err(|error| WriteError::Store(error.into()))?;
    let columns = params![
        id.0,
        username,
        username_key,
        sealed_hash,
        version,
        password_version,
        stamp,
        is_admin
    ];
    statement.execute(columns).map(drop).map_err(|error| match error.sqlite_error_code() {
        // The library's message names the column, not the value.
        Some(rusqlite::ErrorCode::ConstraintViolation) => WriteError::Refused(error.to_string()),
        _ => WriteError::Store(error.into()),
    })
}

fn unappliable(seq: i64, reason: &str) -> ApplyError {
    ApplyError::Unappliable { seq, reason: reason.to_owned() }
}

/// The user with this name, compared by its key. If there is none, another user is read and dropped:
/// the time must not tell that nobody has this name.
pub(in crate::store) fn find_credential(
    connection: &Connection,
    username_key: &str,
) -> Result<Option<Credential>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT user_id, username, version, password_version, sealed_hash, stamp, is_admin, TRUE
         FROM credentials WHERE username_key = ?1
         UNION ALL
         SELECT * FROM (SELECT user_id, username, version, password_version, sealed_hash, stamp,
                               is_admin, FALSE
                        FROM credentials LIMIT 1)
         LIMIT 1",
    )?;
    let read = statement.query_row([username_key], |row| {
        let has_name: bool = row.get(7)?;
        Ok((has_name, read_credential(row)?))
    });
    Ok(read.optional()?.filter(|(has_name, _)| *has_name).map(|(_, credential)| credential))
}

/// The security stamp of the user with this id.
pub(in crate::store) fn find_stamp(
    connection: &Connection,
    user: UserId,
) -> Result<Option<Position>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT stamp FROM credentials WHERE user_id = ?1")?;
    let found = statement.query_row([user.0], |row| row.get(0).map(Position::from_bytes));
    Ok(found.optional()?)
}

/// What a token of the user with this id says of them.
pub(in crate::store) fn find_profile(
    connection: &Connection,
    user: UserId,
) -> Result<Option<Profile>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT username, is_admin FROM credentials WHERE user_id = ?1")?;
    let read = |row: &Row<'_>| Ok(Profile { username: row.get(0)?, is_admin: row.get(1)? });
    Ok(statement.query_row([user.0], read).optional()?)
}

fn read_credential(row: &Row<'_>) -> rusqlite::Result<Credential> {
    Ok(Credential {
        id: UserId(row.get(0)?),
        profile: Profile { username: row.get(1)?, is_admin: row.get(6)? },
        version: row.get(2)?,
        password_version: row.get(3)?,
        sealed_hash: row.get::<_, Option<String>>(4)?.map(SealedHash::new),
        stamp: Position::from_bytes(row.get(5)?),
    })
}

/// The user on whom the lot falls, or the next one who is there; none if there are no users.
pub(in crate::store) fn find_stand_in(
    connection: &Connection,
    lot: Lot,
) -> Result<Option<Credential>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT max(user_id) FROM credentials")?;
    let highest: Option<i64> = statement.query_row([], |row| row.get(0))?;
    let Some(highest) = highest else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT user_id, username, version, password_version, sealed_hash, stamp, is_admin
         FROM credentials WHERE user_id >= ?1 ORDER BY user_id LIMIT 1",
    )?;
    let from = lot.among(UserId(highest)).0;
    Ok(statement.query_row([from], read_credential).optional()?)
}

#[cfg(test)]
mod tests;
