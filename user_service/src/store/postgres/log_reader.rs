//! The log's records, and snapshots of all users.

use std::sync::Arc;

use contract::{EventKind, Head, LogRecord, Position, RecordHash, UserId};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use shared::hashing::PasswordHash;
use shared::postgres::{Link, Row, Server, Session, Type};

use super::super::{LogReader, PresentPassword, Records, Snapshot, StoreError, StoredRecord};
use super::group::NewRecord;
use super::log_state::{HEAD_COLUMNS, bytes, head_columns, position, to_head};
use super::{LONG, users};
use crate::domain::Credentials;

/// Up to $2 records after $1, for [`to_records`].
pub(super) const RECORDS: &str = concat!(
    "SELECT ",
    head_columns!(),
    ", start, (SELECT hash FROM user_log WHERE seq = $1), record.*
     FROM log_state LEFT JOIN LATERAL (
         SELECT log.seq, log.hash, recorded_at_ms, kind, traceparent, data,
                users.id, users.password_version, users.password_hash
         FROM user_log AS log
         LEFT JOIN users ON users.id = log.user_id
              AND users.password_version = log.password_version
         WHERE log.seq > $1 ORDER BY log.seq LIMIT $2
     ) AS record ON true ORDER BY record.seq"
);

/// From the rows of [`RECORDS`] after `seq`.
pub(super) fn to_records(seq: i64, rows: &[Row]) -> Result<Records, StoreError> {
    let first = only(rows)?;
    let head = to_head(first)?;
    let Some(mut prev_hash) = hash_at(seq, first, HEAD_COLUMNS)? else {
        return Ok(Records { records: Vec::new(), head });
    };
    let mut records = Vec::new();
    for row in rows {
        let Some(stored) = to_record(row, prev_hash)? else { break };
        prev_hash = stored.record.position.hash;
        records.push(stored);
    }
    Ok(Records { records, head })
}

/// Reads the log. Each method is one statement, which sees the database at one moment.
pub(super) struct PostgresLogReader {
    server: Arc<Server>,
    link: Link,
}

impl PostgresLogReader {
    pub(super) fn new(server: Arc<Server>) -> Self {
        let link = Link::new(Arc::clone(&server));
        Self { server, link }
    }

    async fn head(&self) -> Result<Head, StoreError> {
        const SQL: &str = concat!("SELECT ", head_columns!(), " FROM log_state");
        to_head(only(&self.link.query(SQL, &[]).await?)?)
    }

    async fn record_hash(&self, seq: i64) -> Result<Option<RecordHash>, StoreError> {
        let sql = "SELECT start, (SELECT hash FROM user_log WHERE seq = $1) FROM log_state";
        let rows = self.link.query(sql, &[(&seq, Type::INT8)]).await?;
        hash_at(seq, only(&rows)?, 0)
    }

    async fn records(&self, seq: i64, limit: u32) -> Result<Records, StoreError> {
        let limit = i64::from(limit);
        let rows = self.link.query(RECORDS, &[(&seq, Type::INT8), (&limit, Type::INT8)]).await?;
        to_records(seq, &rows)
    }

    async fn begin_snapshot(&self) -> Result<PostgresSnapshot, StoreError> {
        const SQL: &str =
            concat!("SELECT ", head_columns!(), ", (SELECT count(*) FROM users) FROM log_state");
        // A connection of its own: others ask on the link meanwhile.
        let session = self.server.connect().await?.with_limit(LONG);
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
                     SET LOCAL idle_in_transaction_session_timeout = '60s'";
        session.run(begin).await?;
        let row = session.query_one(SQL, &[]).await?;
        let count: i64 = row.try_get(HEAD_COLUMNS)?;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(PostgresSnapshot { head: to_head(&row)?, count, session })
    }
}

impl LogReader for PostgresLogReader {
    fn find_head(&self) -> LocalBoxFuture<'_, Result<Head, StoreError>> {
        self.head().boxed_local()
    }

    fn find_record_hash(
        &self,
        seq: i64,
    ) -> LocalBoxFuture<'_, Result<Option<RecordHash>, StoreError>> {
        self.record_hash(seq).boxed_local()
    }

    fn list_records(
        &self,
        seq: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Records, StoreError>> {
        self.records(seq, limit).boxed_local()
    }

    fn snapshot(&self) -> LocalBoxFuture<'_, Result<Box<dyn Snapshot + '_>, StoreError>> {
        async {
            let snapshot: Box<dyn Snapshot> = Box::new(self.begin_snapshot().await?);
            Ok(snapshot)
        }
        .boxed_local()
    }
}

/// An open transaction: while it lives, the server keeps old versions of all rows. It ends with its
/// connection.
struct PostgresSnapshot {
    session: Session,
    head: Head,
    count: u32,
}

impl Snapshot for PostgresSnapshot {
    fn head(&self) -> Head {
        self.head
    }

    fn count(&self) -> u32 {
        self.count
    }

    fn list_credentials(
        &mut self,
        after: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<Credentials>, StoreError>> {
        users::list_credentials(&self.session, after, limit).boxed_local()
    }
}

/// Appends the records.
pub(super) async fn insert_records(
    session: &Session,
    records: &[NewRecord],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO user_log (seq, hash, recorded_at_ms, kind, traceparent, data, user_id,
                                     password_version)
               SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)";
    let each = || records.iter().map(|new| &new.record);
    let seqs: Vec<i64> = each().map(|record| record.position.seq).collect();
    let hashes: Vec<&[u8]> = each().map(|record| &record.position.hash.0[..]).collect();
    let times: Vec<i64> = each().map(|record| record.recorded_at_ms).collect();
    let kinds: Vec<&str> = each().map(|record| record.kind.as_str()).collect();
    let traceparents: Vec<Option<&str>> =
        each().map(|record| record.traceparent.as_deref()).collect();
    let data: Vec<&str> = each().map(|record| record.data.as_str()).collect();
    let users: Vec<Option<i64>> =
        records.iter().map(|new| new.password.map(|(UserId(id), _)| id)).collect();
    let passwords: Vec<Option<i64>> =
        records.iter().map(|new| new.password.map(|(_, version)| version)).collect();
    session
        .execute(
            sql,
            &[
                (&seqs, Type::INT8_ARRAY),
                (&hashes, Type::BYTEA_ARRAY),
                (&times, Type::INT8_ARRAY),
                (&kinds, Type::TEXT_ARRAY),
                (&traceparents, Type::TEXT_ARRAY),
                (&data, Type::TEXT_ARRAY),
                (&users, Type::INT8_ARRAY),
                (&passwords, Type::INT8_ARRAY),
            ],
        )
        .await
        .map(drop)
}

/// The hash at `seq`, from a row with the log's start in `column` and the record's hash after it.
fn hash_at(seq: i64, row: &Row, column: usize) -> Result<Option<RecordHash>, StoreError> {
    let start = position(row, column)?;
    if seq == start.seq {
        return Ok(Some(start.hash));
    }
    let is_there = row.try_get::<_, Option<&[u8]>>(column + 1)?.is_some();
    is_there.then(|| bytes(row, column + 1).map(RecordHash)).transpose()
}

/// Where a record begins in a row that has a head, the log's start and a hash before it.
const RECORD: usize = HEAD_COLUMNS + 2;

/// From a row with a record; `None` if there is none.
fn to_record(row: &Row, prev_hash: RecordHash) -> Result<Option<StoredRecord>, StoreError> {
    let Some(seq) = row.try_get(RECORD)? else { return Ok(None) };
    let kind: &str = row.try_get(RECORD + 3)?;
    let unreadable = || StoreError::Failed(Arc::new(UnreadableKind(kind.to_owned())));
    let record = LogRecord {
        position: Position { seq, hash: RecordHash(bytes(row, RECORD + 1)?) },
        prev_hash,
        kind: EventKind::parse(kind).ok_or_else(unreadable)?,
        recorded_at_ms: row.try_get(RECORD + 2)?,
        traceparent: row.try_get(RECORD + 4)?,
        data: row.try_get(RECORD + 5)?,
    };
    Ok(Some(StoredRecord { record, password: to_password(row)? }))
}

fn to_password(row: &Row) -> Result<Option<PresentPassword>, StoreError> {
    let Some(id) = row.try_get(RECORD + 6)? else { return Ok(None) };
    let hash = PasswordHash::from_phc(row.try_get::<_, String>(RECORD + 8)?);
    Ok(Some(PresentPassword { id: UserId(id), password_version: row.try_get(RECORD + 7)?, hash }))
}

/// The log holds a kind of event that has no form of one.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a kind of event")]
struct UnreadableKind(String);

/// Tables of one row have it.
fn only(rows: &[Row]) -> Result<&Row, StoreError> {
    rows.first().ok_or_else(|| StoreError::Failed(Arc::new(RowMissing)))
}

/// The only row of a table was deleted.
#[derive(Debug, thiserror::Error)]
#[error("the row of log_state is missing")]
struct RowMissing;
