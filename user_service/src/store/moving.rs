//! Moving the users and their log from one database to another, of whatever engine. Neither is served
//! meanwhile.
//!
//! Pages of users and records arrive in order, each in a transaction of its own, so a move that was
//! interrupted goes on after what has arrived. Until it has ended, the target notes the log that is
//! moved, and refuses to be served. The end of the log comes last: followers that are there go on
//! as if nothing had happened.

use std::path::Path;

use contract::{Incarnation, LogName, LogRecord, Position, UsersChecksum};
use futures_util::future::LocalBoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use shared::log_sync::user_checksum;

use super::{InvalidUrl, Store, StoreError, postgres, sqlite};
use crate::domain::Credentials;

/// How many users or records are moved at once.
const PAGE: u32 = 1_000;

/// One end of a move.
pub trait MoveEnd {
    /// The database.
    fn store(&self) -> &dyn Store;

    /// A service that uses it now.
    fn find_service(&self) -> LocalBoxFuture<'_, Result<Option<String>, StoreError>>;

    /// What is moved beside users and records.
    fn find_log(&self) -> LocalBoxFuture<'_, Result<MovedLog, StoreError>>;

    /// Begins to move this log here, or goes on with it.
    fn open_target(
        &self,
        log: MovedLog,
    ) -> LocalBoxFuture<'_, Result<Box<dyn MoveTarget>, MoveError>>;
}

/// The database that a log is moved to.
pub trait MoveTarget {
    /// What has arrived so far.
    fn arrived(&mut self) -> LocalBoxFuture<'_, Result<Arrived, StoreError>>;

    /// Adds users, in order of their ids.
    fn add_users(&mut self, users: Vec<Credentials>) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Adds records, in order.
    fn add_records(
        &mut self,
        records: Vec<LogRecord>,
    ) -> LocalBoxFuture<'_, Result<(), StoreError>>;

    /// Everything has arrived: from now on the log is here.
    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StoreError>>;
}

/// A log without its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedLog {
    /// Its own name.
    pub(super) name: LogName,
    /// Who vouched for it last.
    pub(super) incarnation: Incarnation,
    /// The last record that was pruned.
    pub(super) start: Position,
    /// The last record.
    pub(super) end: Position,
    /// The checksum over all users.
    pub(super) checksum: UsersChecksum,
    /// The last record that the bus has confirmed.
    pub(super) published: i64,
    /// No user had a higher id.
    pub(super) highest_id: i64,
    /// The last `log.rewound`, and the incarnation that it began.
    pub(super) rewound: Option<(i64, Incarnation)>,
    /// Runs whose records are lost.
    pub(super) undone: Vec<Incarnation>,
    /// A follower has asked.
    pub(super) is_followed: bool,
}

impl MovedLog {
    /// The number of its last record.
    pub fn end_seq(&self) -> i64 {
        self.end.seq
    }
}

/// How much has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// The id of the last user, 0 before the first.
    pub user_id: i64,
    /// The last record, 0 before the first.
    pub seq: i64,
}

/// Why nothing was moved, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Both ends are the same database, or the target is in use.
    #[error("the target has users of its own, or another log: give it an empty database")]
    NotEmpty,
    /// The target notes another log, or a later state of this one.
    #[error(
        "another move into the target has begun and not ended: begin again with an empty database"
    )]
    OtherMove,
    /// A service uses one of the databases.
    #[error("{0} serves one of the databases: stop all services first")]
    Running(String),
    /// The source was written to meanwhile.
    #[error("the source was changed meanwhile: begin again with an empty target, and no service")]
    Changed,
    /// What has arrived is not what was sent.
    #[error("what has arrived differs from the source: begin again with an empty target")]
    Differs,
    /// A database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The database that a path, or a URL of PostgreSQL, names.
///
/// # Errors
/// It is a URL that cannot be used.
pub fn move_end(place: &SecretString, data_dir: &Path) -> Result<Box<dyn MoveEnd>, InvalidUrl> {
    if let Some(path) = file_of(place) {
        return Ok(Box::new(sqlite::SqliteStore::new(path.to_owned())));
    }
    let store = postgres::PostgresStore::new(place, "user_service move", data_dir);
    Ok(Box::new(store.map_err(|error| InvalidUrl(error.to_string()))?))
}

/// The file that this names; `None` if it is a URL.
pub fn file_of(place: &SecretString) -> Option<&Path> {
    let text = place.expose_secret();
    (!text.contains("://")).then(|| Path::new(text))
}

/// Moves everything; tells `progress` after each page what has arrived.
///
/// # Errors
/// See [`MoveError`]. What has arrived stays, and the next move of the same log goes on after it.
pub async fn move_log(
    from: &dyn MoveEnd,
    to: &dyn MoveEnd,
    mut progress: impl FnMut(Arrived),
) -> Result<MovedLog, MoveError> {
    for end in [from, to] {
        end.store().migrate().await?;
        if let Some(service) = end.find_service().await? {
            return Err(MoveError::Running(service));
        }
    }
    let log = from.find_log().await?;
    let mut target = to.open_target(log.clone()).await?;
    let mut arrived = target.arrived().await?;
    move_users(from, &mut *target, &mut arrived, &mut progress).await?;
    move_records(from, &log, &mut *target, &mut arrived, &mut progress).await?;
    if from.find_log().await? != log {
        return Err(MoveError::Changed);
    }
    let is_whole = log.start == log.end || arrived.seq == log.end.seq;
    if !is_whole || sum_of_users(to).await? != log.checksum {
        return Err(MoveError::Differs);
    }
    target.finish().await?;
    Ok(log)
}

async fn move_users(
    from: &dyn MoveEnd,
    target: &mut dyn MoveTarget,
    arrived: &mut Arrived,
    progress: &mut impl FnMut(Arrived),
) -> Result<(), StoreError> {
    let reader = from.store().open_log_reader().await?;
    loop {
        // A snapshot for each page: nobody writes, and none stays open for long.
        let page = reader.snapshot().await?.list_credentials(arrived.user_id, PAGE).await?;
        let Some(last) = page.last().map(|known| known.user.id.0) else { return Ok(()) };
        target.add_users(page).await?;
        arrived.user_id = last;
        progress(*arrived);
    }
}

async fn move_records(
    from: &dyn MoveEnd,
    log: &MovedLog,
    target: &mut dyn MoveTarget,
    arrived: &mut Arrived,
    progress: &mut impl FnMut(Arrived),
) -> Result<(), StoreError> {
    let reader = from.store().open_log_reader().await?;
    loop {
        let after = arrived.seq.max(log.start.seq);
        let page = reader.list_records(after, PAGE).await?.records;
        let Some(last) = page.last().map(|stored| stored.record.position.seq) else {
            return Ok(());
        };
        target.add_records(page.into_iter().map(|stored| stored.record).collect()).await?;
        arrived.seq = last;
        progress(*arrived);
    }
}

/// The checksum over the users that are there.
async fn sum_of_users(end: &dyn MoveEnd) -> Result<UsersChecksum, StoreError> {
    let reader = end.store().open_reader().await?;
    let (mut checksum, mut after) = (UsersChecksum::default(), 0);
    loop {
        let page = reader.list_users(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(checksum) };
        after = last.id.0;
        let each = page.iter().map(|user| user_checksum(user.id, user.version, &user.username));
        checksum = each.fold(checksum, UsersChecksum::plus);
    }
}

/// A log is being moved into the database.
#[derive(Debug, thiserror::Error)]
#[error("a move into this database has not ended: run `move` again")]
pub(super) struct MoveNotEnded;

/// The note of the log that is moved, as the target stores it.
pub(super) fn to_note(log: &MovedLog) -> Result<String, StoreError> {
    serde_json::to_string(log).map_err(|error| StoreError::Failed(std::sync::Arc::new(error)))
}
