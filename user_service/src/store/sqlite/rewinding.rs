//! A log that went back: how it is recognised, and what is done.
//!
//! Somebody has put an older copy of the database in its place, or a part of it is gone. Records are
//! lost that clients and followers know of. One record `log.rewound` makes its position the security
//! stamp of every user, and ids go on above all that may have been given.

use std::path::{Path, PathBuf};

use contract::{Cursor, EventKind, Incarnation, Position, RecordData, RecordHash, UserId};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use shared::backup::RESTORED_MARK;
use shared::file_mark::{FileIdentity, Found, Mark};
use shared::regular_file::directory_of;

use super::super::rewound::{Seen, announce, rewound};
use super::super::{FollowerPlace, StoreError};
use super::{incarnation, log, read_head};

/// Why the log is taken to have gone back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// There is a note that it was restored.
    Restored,
    /// Another file is at the path of the database.
    DatabasePutBack,
    /// The mark beside it is a copy.
    MarkPutBack,
    /// A mark was kept and is gone.
    MarkGone,
    /// The log does not have the place that its mark names.
    BeforeMark,
    /// The log does not have a place where a follower is.
    BeforeFollower,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Restored => "it was restored from a backup",
            Self::DatabasePutBack => "another file was put in the place of users.db",
            Self::MarkPutBack => "another file was put in the place of users.mark",
            Self::MarkGone => "users.mark is gone",
            Self::BeforeMark => "it has been further, as users.mark tells",
            Self::BeforeFollower => "it has been further, as auth_service tells",
        }
    }
}

/// For the database that was just opened: if its log went back, says so in the log. From then on the
/// mark is kept.
pub(super) fn check_opened(
    connection: &mut Connection,
    path: &Path,
    now_ms: i64,
) -> Result<(), StoreError> {
    let file = FileIdentity::of(&path.metadata()?);
    let note = note_of_restore(path);
    let is_restored = note.try_exists()?;
    let found = Mark::beside(path).find()?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let Some(cause) = cause_at_start(&transaction, file, found, is_restored)? {
        let (lost_run, highest_id) = match found {
            Found::Nothing => (None, 0),
            Found::Kept(Seen { end, highest_id }) | Found::Copy(Seen { end, highest_id }) => {
                (is_lost(&transaction, end.position)?.then_some(end.incarnation), highest_id)
            }
        };
        write_rewound(&transaction, cause, lost_run, highest_id, now_ms)?;
    }
    let FileIdentity { inode, born_ns } = file;
    let sql = "INSERT OR REPLACE INTO file_identity VALUES (1, ?1, ?2)";
    transaction.execute(sql, params![inode, born_ns])?;
    // Before the commit: a database that has an identity has a mark.
    keep_mark(&transaction, path)?;
    transaction.commit()?;
    if is_restored { Ok(std::fs::remove_file(note)?) } else { Ok(()) }
}

fn note_of_restore(database: &Path) -> PathBuf {
    directory_of(database).join(RESTORED_MARK)
}

fn cause_at_start(
    connection: &Connection,
    file: FileIdentity,
    found: Found<Seen>,
    is_restored: bool,
) -> Result<Option<Cause>, StoreError> {
    let stored = stored_identity(connection)?;
    Ok(match found {
        _ if is_restored => Some(Cause::Restored),
        Found::Kept(Seen { end, .. }) if is_lost(connection, end.position)? => {
            Some(Cause::BeforeMark)
        }
        _ if stored.is_some_and(|stored| stored != file) => Some(Cause::DatabasePutBack),
        Found::Copy(_) => Some(Cause::MarkPutBack),
        Found::Nothing if stored.is_some() => Some(Cause::MarkGone),
        Found::Kept(_) | Found::Nothing => None,
    })
}

fn stored_identity(connection: &Connection) -> Result<Option<FileIdentity>, StoreError> {
    let sql = "SELECT inode, born_ns FROM file_identity";
    let read = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok(FileIdentity { inode: row.get(0)?, born_ns: row.get(1)? }));
    Ok(read.optional()?)
}

/// Whether the log once had this place, and does not have it now. Of places before its beginning
/// nothing is known.
fn is_lost(connection: &Connection, place: Position) -> Result<bool, StoreError> {
    let is_known = place.seq >= log::start(connection)?.seq;
    Ok(is_known && log::hash_at(connection, place.seq)? != Some(place.hash))
}

/// Keeps the present end of the log as the mark.
pub(super) fn keep_mark(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let end = read_head(connection)?.cursor();
    let mark = Seen { end, highest_id: highest_given(connection)? };
    Ok(Mark::beside(path).keep(&mark)?)
}

/// Learns from a follower's question: that there are followers, which ids it has seen, and whether the
/// log went back before the place where it is.
pub(super) fn hear(
    connection: &Connection,
    place: FollowerPlace,
    now_ms: i64,
) -> Result<(), StoreError> {
    note_follower(connection)?;
    let FollowerPlace { cursor, highest_id } = place;
    let highest_id = highest_id.map_or(0, |UserId(id)| id);
    if shows_loss(connection, cursor)? {
        let run = cursor.incarnation;
        if may_have_undone(connection, run)? {
            let cause = Cause::BeforeFollower;
            return write_rewound(connection, cause, Some(run), highest_id, now_ms);
        }
        note_undone(connection, run)?;
    }
    if highest_id > highest_given(connection)? {
        set_highest_given(connection, highest_id)?;
    }
    Ok(())
}

/// A follower has asked.
pub(super) fn note_follower(connection: &Connection) -> Result<(), StoreError> {
    connection.prepare_cached("INSERT OR IGNORE INTO followed VALUES (1)")?.execute([])?;
    Ok(())
}

/// Whether a follower at this place shows that the log has lost records.
fn shows_loss(connection: &Connection, at: Cursor) -> Result<bool, StoreError> {
    let is_place = at.position.hash != RecordHash::OF_NO_RECORD;
    // A place before the last `log.rewound` belongs to a history that was undone then.
    Ok(is_place
        && last_rewound(connection)?.is_none_or(|(seq, _)| seq < at.position.seq)
        && is_lost(connection, at.position)?)
}

/// Whether records of this run may have been lost without a `log.rewound` so far. In the run that has
/// written one, every place that is not on the log belongs to what was undone then.
fn may_have_undone(connection: &Connection, run: Incarnation) -> Result<bool, StoreError> {
    let present = incarnation::read(connection)?;
    if last_rewound(connection)?.is_some_and(|(_, written_by)| written_by == present) {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM undone_runs WHERE incarnation = ?1)";
    let is_known: bool = connection.prepare_cached(sql)?.query_row([run.0], |row| row.get(0))?;
    Ok(!is_known)
}

/// Records of this run are lost.
pub(super) fn note_undone(connection: &Connection, run: Incarnation) -> Result<(), StoreError> {
    connection.prepare_cached("INSERT OR IGNORE INTO undone_runs VALUES (?1)")?.execute([run.0])?;
    Ok(())
}

/// The place of the last `log.rewound`, and the run that wrote it.
pub(super) fn last_rewound(
    connection: &Connection,
) -> Result<Option<(i64, Incarnation)>, StoreError> {
    let sql = "SELECT seq, incarnation FROM last_rewound";
    let read = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok((row.get(0)?, Incarnation(row.get(1)?))));
    Ok(read.optional()?)
}

/// Whether a follower has ever asked.
pub(super) fn is_followed(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM followed)";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

fn write_rewound(
    connection: &Connection,
    cause: Cause,
    undone: Option<Incarnation>,
    highest_seen: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    let rewound = rewound(highest_given(connection)?.max(highest_seen));
    let ids_through = rewound.ids_through;
    set_highest_given(connection, ids_through)?;
    let data = RecordData::Rewound(rewound);
    let position = log::append(connection, &EventKind::REWOUND, data, now_ms, None)?;
    connection.execute("UPDATE users SET stamp = ?1", [position.to_bytes()])?;
    let present = incarnation::read(connection)?;
    let sql = "INSERT OR REPLACE INTO last_rewound VALUES (1, ?1, ?2)";
    connection.execute(sql, params![position.seq, present.0])?;
    undone.map_or(Ok(()), |run| note_undone(connection, run))?;
    announce(cause.as_str(), position.seq, ids_through);
    Ok(())
}

/// No user had a higher id than this.
pub(super) fn highest_given(connection: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'users'";
    let read = connection.prepare_cached(sql)?.query_row([], |row| row.get(0));
    Ok(read.optional()?.unwrap_or(0))
}

/// The next user gets a higher id than this.
pub(super) fn set_highest_given(connection: &Connection, id: i64) -> Result<(), StoreError> {
    // The table belongs to SQLite, and has no key.
    if connection.execute("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'users'", [id])? == 0 {
        connection.execute("INSERT INTO sqlite_sequence VALUES ('users', ?1)", [id])?;
    }
    Ok(())
}
