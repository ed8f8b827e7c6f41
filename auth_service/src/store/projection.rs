//! The projection of user_service's log: credentials, and the cursor in the same transaction.

use contract::{Cursor, EventKind, LogRecord, UserData, UserId, UsersChecksum};
use rusqlite::{Connection, OptionalExtension, Row, params};
use rusqlite_migration::{M, Migrations};
use shared::fail_point::sabotaged;
use shared::identity::Username;
use shared::log_sync::user_checksum;
use shared::sqlite::StoreError;

use crate::domain::Credential;

/// The schema of `projection.db`, step by step.
pub fn migrations() -> Migrations<'static> {
    Migrations::new(vec![
        M::up(include_str!("../../migrations/projection_1.sql")),
        M::up(include_str!("../../migrations/projection_2.sql")),
    ])
}

/// Why records were not applied. None of them was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A record that follows on the chain cannot be applied: the projection has diverged, or
    /// user_service writes what this version does not understand.
    #[error("record {seq} cannot be applied: {reason}")]
    Unappliable {
        /// Which record.
        seq: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The database failed; the records may be good.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A row to write.
pub(super) struct CredentialRow {
    credential: Credential,
    username_key: String,
}

impl CredentialRow {
    /// Reads the user of an event or snapshot.
    pub(super) fn read(user: &UserData) -> Result<Self, String> {
        let name = Username::parse(&user.username).map_err(|error| format!("username {error}"))?;
        let sealed_hash = user.password_hash.clone().ok_or("the user has no password hash")?;
        let credential = Credential {
            id: user.id,
            username: name.as_shown().to_owned(),
            version: user.version,
            password_version: user.password_version,
            sealed_hash,
        };
        Ok(Self { credential, username_key: name.key().to_owned() })
    }

    /// Runs a statement whose parameters are the columns in their order.
    pub(super) fn execute(&self, connection: &Connection, sql: &str) -> rusqlite::Result<usize> {
        let Credential { id, username, version, password_version, sealed_hash } = &self.credential;
        connection.prepare_cached(sql)?.execute(params![
            id.0,
            username,
            self.username_key,
            sealed_hash,
            version,
            password_version
        ])
    }
}

/// The stored cursor; none before the first answer of user_service.
///
/// # Errors
/// The database failed, or holds what is no cursor.
pub fn find_cursor(connection: &Connection) -> Result<Option<Cursor>, StoreError> {
    let sql = "SELECT incarnation, seq, chain FROM projection_cursor";
    Ok(connection.prepare_cached(sql)?.query_row([], read_cursor).optional()?)
}

fn read_cursor(row: &Row<'_>) -> rusqlite::Result<Cursor> {
    let parsed = |index: usize, text: String| {
        text.parse::<contract::RecordHash>().map(|chain| chain.0).map_err(|error| {
            let kind = rusqlite::types::Type::Text;
            rusqlite::Error::FromSqlConversionFailure(index, kind, Box::new(error))
        })
    };
    Ok(Cursor {
        incarnation: contract::Incarnation(parsed(0, row.get(0)?)?),
        seq: row.get(1)?,
        chain: contract::RecordHash(parsed(2, row.get(2)?)?),
    })
}

/// Stores the cursor, with what all users come to there.
pub(super) fn write_cursor(
    connection: &Connection,
    cursor: &Cursor,
    digest: UsersChecksum,
) -> rusqlite::Result<usize> {
    let Cursor { incarnation, seq, chain } = cursor;
    connection
        .prepare_cached("INSERT OR REPLACE INTO projection_cursor VALUES (1, ?1, ?2, ?3, ?4)")?
        .execute(params![incarnation.to_string(), seq, chain.to_string(), digest.0])
}

/// What all users come to at the cursor. It is kept from change to change, and made from the users
/// where an earlier version has left none.
///
/// # Errors
/// The database failed.
pub fn find_digest(connection: &Connection) -> Result<UsersChecksum, StoreError> {
    let mut statement = connection.prepare_cached("SELECT digest FROM projection_cursor")?;
    let kept: Option<Option<[u8; 16]>> = statement.query_row([], |row| row.get(0)).optional()?;
    match kept.flatten() {
        Some(digest) => Ok(UsersChecksum(digest)),
        None => sum_digest(connection),
    }
}

/// What all users come to, made from each of them.
pub(super) fn sum_digest(connection: &Connection) -> Result<UsersChecksum, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT user_id, version, username FROM credentials")?;
    let mut sum = UsersChecksum::default();
    for digest in statement.query_map([], read_digest)? {
        sum = sum.plus(digest?);
    }
    Ok(sum)
}

fn digest_of(connection: &Connection, id: UserId) -> Result<Option<UsersChecksum>, StoreError> {
    let sql = "SELECT user_id, version, username FROM credentials WHERE user_id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([id.0], read_digest).optional()?)
}

fn read_digest(row: &Row<'_>) -> rusqlite::Result<UsersChecksum> {
    let username = row.get_ref(2)?.as_str()?;
    Ok(user_checksum(UserId(row.get(0)?), row.get(1)?, username))
}

/// Applies the records in their order, and the cursor behind them, in one transaction. There may
/// be no records: then a new incarnation vouches for the place. Answers with what all users come
/// to then.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply(
    connection: &mut Connection,
    records: &[LogRecord],
    cursor: &Cursor,
) -> Result<UsersChecksum, ApplyError> {
    let transaction = connection.transaction()?;
    check_continuity(find_cursor(&transaction)?.unwrap_or_default(), records, cursor)?;
    let mut digest = find_digest(&transaction)?;
    for record in records {
        digest = apply_one(&transaction, record, digest)?;
    }
    write_cursor(&transaction, cursor, digest)?;
    transaction.commit()?;
    Ok(digest)
}

/// The follower sees to this; here it is checked once more, because a hole would never be noticed.
fn check_continuity(
    stored: Cursor,
    records: &[LogRecord],
    cursor: &Cursor,
) -> Result<(), ApplyError> {
    let mut at = (stored.seq, stored.chain);
    for record in records {
        if (record.seq, record.previous) != (at.0 + 1, at.1) {
            return Err(unappliable(record.seq, "it does not follow what is stored"));
        }
        at = (record.seq, record.chain);
    }
    if at == (cursor.seq, cursor.chain) {
        Ok(())
    } else {
        Err(unappliable(cursor.seq, "the records do not lead to the cursor"))
    }
}

/// Answers with what all users come to after the record, from what they came to before it.
fn apply_one(
    connection: &Connection,
    record: &LogRecord,
    digest: UsersChecksum,
) -> Result<UsersChecksum, ApplyError> {
    let refuse = |reason: String| ApplyError::Unappliable { seq: record.seq, reason };
    // The library's message may hold a value, which has no place in a log.
    let user: UserData = serde_json::from_str(&record.data)
        .map_err(|error| refuse(format!("its data cannot be read at column {}", error.column())))?;
    let before = digest_of(connection, user.id)?.unwrap_or_default();
    let changed = match record.kind {
        EventKind::Created => write(connection, &user, INSERT).map_err(|w| w.at(record.seq))?,
        EventKind::Updated => write(connection, &user, UPDATE).map_err(|w| w.at(record.seq))?,
        EventKind::Deleted => connection
            .prepare_cached("DELETE FROM credentials WHERE user_id = ?1")?
            .execute([user.id.0])?,
    };
    if changed != 1 {
        return Err(refuse("the user is not known".into()));
    }
    let after = digest_of(connection, user.id)?.unwrap_or_default();
    Ok(digest.minus(before).plus(after))
}

const INSERT: &str = "INSERT INTO credentials VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const UPDATE: &str = "UPDATE credentials SET username = ?2, username_key = ?3, sealed_hash = ?4,
    version = ?5, password_version = ?6 WHERE user_id = ?1";

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

/// Writes the user with a statement whose parameters are the columns.
pub(super) fn write(
    connection: &Connection,
    user: &UserData,
    sql: &str,
) -> Result<usize, WriteError> {
    if sabotaged("write") {
        return Ok(1);
    }
    let row = CredentialRow::read(user).map_err(WriteError::Refused)?;
    row.execute(connection, sql).map_err(|error| match error.sqlite_error_code() {
        // The library's message names the column, not the value.
        Some(rusqlite::ErrorCode::ConstraintViolation) => WriteError::Refused(error.to_string()),
        _ => WriteError::Store(error.into()),
    })
}

fn unappliable(seq: i64, reason: &str) -> ApplyError {
    ApplyError::Unappliable { seq, reason: reason.to_owned() }
}

/// The user with this name, compared by its key.
///
/// # Errors
/// The database failed.
pub fn find_credential(
    connection: &Connection,
    username_key: &str,
) -> Result<Option<Credential>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT user_id, username, version, password_version, sealed_hash
         FROM credentials WHERE username_key = ?1",
    )?;
    let found = statement.query_row([username_key], |row| {
        Ok(Credential {
            id: UserId(row.get(0)?),
            username: row.get(1)?,
            version: row.get(2)?,
            password_version: row.get(3)?,
            sealed_hash: row.get(4)?,
        })
    });
    Ok(found.optional()?)
}

/// The sealed hash of the youngest user, if there is one.
///
/// # Errors
/// The database failed.
pub fn find_youngest_sealed_hash(connection: &Connection) -> Result<Option<String>, StoreError> {
    let sql = "SELECT sealed_hash FROM credentials ORDER BY user_id DESC LIMIT 1";
    Ok(connection.query_row(sql, [], |row| row.get(0)).optional()?)
}

#[cfg(test)]
mod tests;
