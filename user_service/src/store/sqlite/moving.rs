//! SQLite as one end of a move.

use contract::{Incarnation, LogRecord, Position};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use shared::sqlite::close_writer;

use super::super::Store;
use super::super::moving::{Arrived, MoveEnd, MoveError, MoveTarget, MovedLog, to_note};
use super::{SqliteStore, StoreError, checksum, incarnation, log, published, rewinding, users};
use crate::domain::Credentials;

impl MoveEnd for SqliteStore {
    fn store(&self) -> &dyn Store {
        self
    }

    /// The caller has claimed the data directory.
    fn find_service(&self) -> LocalBoxFuture<'_, Result<Option<String>, StoreError>> {
        ready(Ok(None)).boxed_local()
    }

    fn find_log(&self) -> LocalBoxFuture<'_, Result<MovedLog, StoreError>> {
        let read = || {
            let connection = self.connect()?;
            checksum::compute_if_absent(&connection)?;
            let log = read_log(&connection)?;
            close_writer(connection)?;
            Ok(log)
        };
        ready(read()).boxed_local()
    }

    fn open_target(
        &self,
        log: MovedLog,
    ) -> LocalBoxFuture<'_, Result<Box<dyn MoveTarget>, MoveError>> {
        let open = || {
            let mut connection = self.connect()?;
            in_transaction(&mut connection, |transaction| begin(transaction, &log))?;
            let target: Box<dyn MoveTarget> = Box::new(Target { connection, log });
            Ok(target)
        };
        ready(open()).boxed_local()
    }
}

fn in_transaction<T, E: From<StoreError>>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let behavior = TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(behavior).map_err(StoreError::from)?;
    let done = work(&transaction)?;
    transaction.commit().map_err(StoreError::from)?;
    Ok(done)
}

/// The log without its records.
pub(super) fn read_log(connection: &Connection) -> Result<MovedLog, StoreError> {
    let mut undone = connection.prepare_cached("SELECT incarnation FROM undone_runs ORDER BY 1")?;
    let undone = undone.query_map([], |row| row.get(0).map(Incarnation))?;
    Ok(MovedLog {
        name: log::name(connection)?,
        incarnation: incarnation::read(connection)?,
        start: log::start(connection)?,
        end: log::end(connection)?,
        checksum: checksum::read(connection)?,
        published: published::read(connection)?,
        highest_id: rewinding::highest_given(connection)?,
        rewound: rewinding::last_rewound(connection)?,
        undone: undone.collect::<Result<_, _>>()?,
        is_followed: rewinding::is_followed(connection)?,
    })
}

fn begin(connection: &Connection, moved: &MovedLog) -> Result<(), MoveError> {
    let note = to_note(moved)?;
    if let Some(noted) = find_note(connection)? {
        return if noted == note { Ok(()) } else { Err(MoveError::OtherMove) };
    }
    let is_empty = log::end(connection)? == Position::default() && users::count(connection)? == 0;
    if !is_empty {
        return Err(MoveError::NotEmpty);
    }
    connection.execute("INSERT INTO moving VALUES (1, ?1)", [note]).map_err(StoreError::from)?;
    Ok(())
}

/// The log that is being moved into this database.
pub(super) fn find_note(connection: &Connection) -> Result<Option<String>, StoreError> {
    Ok(connection.query_row("SELECT log FROM moving", [], |row| row.get(0)).optional()?)
}

struct Target {
    connection: Connection,
    log: MovedLog,
}

impl MoveTarget for Target {
    fn arrived(&mut self) -> LocalBoxFuture<'_, Result<Arrived, StoreError>> {
        let sql = "SELECT coalesce((SELECT max(id) FROM users), 0),
                          coalesce((SELECT max(seq) FROM user_log), 0)";
        let arrived = self
            .connection
            .query_row(sql, [], |row| Ok(Arrived { user_id: row.get(0)?, seq: row.get(1)? }));
        ready(arrived.map_err(StoreError::from)).boxed_local()
    }

    fn add_users(&mut self, users: Vec<Credentials>) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        let added = in_transaction(&mut self.connection, |transaction| {
            users.iter().try_for_each(|known| users::insert_moved(transaction, known))
        });
        ready(added).boxed_local()
    }

    fn add_records(
        &mut self,
        records: Vec<LogRecord>,
    ) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        let added = in_transaction(&mut self.connection, |transaction| {
            records.iter().try_for_each(|record| log::insert(transaction, record))
        });
        ready(added).boxed_local()
    }

    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StoreError>> {
        let Self { mut connection, log } = *self;
        let written = in_transaction(&mut connection, |transaction| write_log(transaction, &log));
        ready(written.and_then(|()| close_writer(connection))).boxed_local()
    }
}

fn write_log(connection: &Connection, moved: &MovedLog) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO log_incarnation VALUES (1, ?1)";
    connection.execute(sql, [moved.incarnation.0])?;
    connection.execute("UPDATE log_name SET name = ?1", [moved.name.0])?;
    let Position { seq, hash } = moved.start;
    connection.execute("UPDATE log_start SET seq = ?1, hash = ?2", params![seq, hash.0])?;
    checksum::write(connection, moved.checksum)?;
    connection.execute("UPDATE published SET seq = ?1", [moved.published])?;
    rewinding::set_highest_given(connection, moved.highest_id)?;
    if let Some((seq, by)) = moved.rewound {
        let sql = "INSERT OR REPLACE INTO last_rewound VALUES (1, ?1, ?2)";
        connection.execute(sql, params![seq, by.0])?;
    }
    for run in &moved.undone {
        rewinding::note_undone(connection, *run)?;
    }
    if moved.is_followed {
        rewinding::note_follower(connection)?;
    }
    connection.execute("DELETE FROM moving", [])?;
    Ok(())
}
