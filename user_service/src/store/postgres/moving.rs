//! PostgreSQL as one end of a move.

use contract::{Incarnation, LogRecord, Position, RecordHash, UserId};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use shared::postgres::{Session, Type};

use super::super::moving::{Arrived, MoveEnd, MoveError, MoveTarget, MovedLog, to_note};
use super::super::{SERVICE, Store};
use super::group::NewRecord;
use super::log_reader::insert_records;
use super::log_state::{LogState, bytes};
use super::{PostgresStore, StoreError, rewinding, transaction, users};
use crate::domain::Credentials;

impl MoveEnd for PostgresStore {
    fn store(&self) -> &dyn Store {
        self
    }

    /// The one that publishes, or else one that has a session.
    fn find_service(&self) -> LocalBoxFuture<'_, Result<Option<String>, StoreError>> {
        async {
            let session = self.patient_session().await?;
            let sql = "SELECT holder_name FROM published WHERE until > clock_timestamp()
                       UNION ALL
                       SELECT concat(application_name, ' at ', coalesce(client_addr::text, 'a socket'))
                       FROM pg_stat_activity
                       WHERE datname = current_database() AND application_name = $1
                       LIMIT 1";
            let rows = session.query(sql, &[(&SERVICE, Type::TEXT)]).await?;
            Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
        }
        .boxed_local()
    }

    fn find_log(&self) -> LocalBoxFuture<'_, Result<MovedLog, StoreError>> {
        async { read_log(&self.patient_session().await?).await }.boxed_local()
    }

    fn open_target(
        &self,
        log: MovedLog,
    ) -> LocalBoxFuture<'_, Result<Box<dyn MoveTarget>, MoveError>> {
        async {
            let session = self.patient_session().await?;
            transaction::begin_long(&session).await?;
            begin(&session, &log).await?;
            transaction::commit_repeatable(&session).await?;
            let target: Box<dyn MoveTarget> = Box::new(Target { session, log });
            Ok(target)
        }
        .boxed_local()
    }
}

/// The log without its records.
pub(super) async fn read_log(session: &Session) -> Result<MovedLog, StoreError> {
    let state = LogState::read(session).await?;
    let published = session.query_one("SELECT seq FROM published", &[]).await?.try_get(0)?;
    let undone = session.query("SELECT incarnation FROM undone_runs ORDER BY 1", &[]).await?;
    let undone = undone.iter().map(|row| bytes(row, 0).map(Incarnation));
    Ok(MovedLog {
        name: state.name,
        incarnation: state.incarnation,
        start: state.start,
        end: state.end,
        checksum: state.checksum,
        published,
        highest_id: state.highest_id,
        rewound: state.last_rewound().map(|seq| (seq, state.rewound_by)),
        undone: undone.collect::<Result<_, _>>()?,
        is_followed: rewinding::is_followed(session).await?,
    })
}

/// Notes the log that is moved, if the database is empty or has that note.
async fn begin(session: &Session, log: &MovedLog) -> Result<(), MoveError> {
    let note = to_note(log)?;
    if let Some(row) = session.query("SELECT log FROM moving", &[]).await?.first() {
        let noted: &str = row.try_get(0).map_err(StoreError::from)?;
        return if noted == note { Ok(()) } else { Err(MoveError::OtherMove) };
    }
    let state = LogState::read(session).await?;
    let is_empty = state.end == Position::default()
        && users::list_credentials(session, 0, 1).await?.is_empty();
    if !is_empty {
        return Err(MoveError::NotEmpty);
    }
    let sql = "INSERT INTO moving (log) VALUES ($1)";
    session.execute(sql, &[(&note, Type::TEXT)]).await?;
    Ok(())
}

/// Whether a move into this database has begun and not ended.
pub(super) async fn is_unfinished(session: &Session) -> Result<bool, StoreError> {
    Ok(session.query_one("SELECT EXISTS (SELECT FROM moving)", &[]).await?.try_get(0)?)
}

struct Target {
    session: Session,
    log: MovedLog,
}

impl MoveTarget for Target {
    fn arrived(&mut self) -> LocalBoxFuture<'_, Result<Arrived, StoreError>> {
        async {
            let sql = "SELECT coalesce((SELECT max(id) FROM users), 0),
                              coalesce((SELECT max(seq) FROM user_log), 0)";
            let row = self.session.query_one(sql, &[]).await?;
            Ok(Arrived { user_id: row.try_get(0)?, seq: row.try_get(1)? })
        }
        .boxed_local()
    }

    fn add_users(&mut self, users: Vec<Credentials>) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        async move {
            transaction::begin_long(&self.session).await?;
            users::insert(&self.session, &users.iter().collect::<Vec<_>>()).await?;
            transaction::commit_repeatable(&self.session).await
        }
        .boxed_local()
    }

    fn add_records(
        &mut self,
        records: Vec<LogRecord>,
    ) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        async move {
            let records: Vec<NewRecord> = records.into_iter().map(with_password).collect();
            transaction::begin_long(&self.session).await?;
            insert_records(&self.session, &records).await?;
            transaction::commit_repeatable(&self.session).await
        }
        .boxed_local()
    }

    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StoreError>> {
        async move {
            transaction::begin_long(&self.session).await?;
            write_log(&self.session, &self.log).await?;
            transaction::commit_repeatable(&self.session).await
        }
        .boxed_local()
    }
}

/// The record with whose password it set or kept, which has columns of its own here.
fn with_password(record: LogRecord) -> NewRecord {
    let data: Value = serde_json::from_str(&record.data).unwrap_or_default();
    let id = data["id"].as_i64();
    let version = data["user"]["password_version"].as_i64();
    let password = id.zip(version).map(|(id, version)| (UserId(id), version));
    NewRecord { record, password }
}

async fn write_log(session: &Session, log: &MovedLog) -> Result<(), StoreError> {
    let mut state = LogState::read(session).await?;
    (state.incarnation, state.start, state.end) = (log.incarnation, log.start, log.end);
    (state.checksum, state.highest_id) = (log.checksum, log.highest_id);
    if let Some((seq, by)) = log.rewound {
        // Without its hash, which may have been pruned: no stored stamp is older, and at the same
        // place the stored one is the greater.
        state.rewound = Position { seq, hash: RecordHash::default() };
        state.rewound_by = by;
    }
    state.write(session).await?;
    let sql = "UPDATE log_state SET name = $1";
    session.execute(sql, &[(&&log.name.0[..], Type::BYTEA)]).await?;
    let sql = "UPDATE published SET seq = $1";
    session.execute(sql, &[(&log.published, Type::INT8)]).await?;
    rewinding::note_undone(session, &log.undone).await?;
    if log.is_followed {
        rewinding::note_follower(session).await?;
    }
    session.execute("DELETE FROM moving", &[]).await.map(drop)
}
