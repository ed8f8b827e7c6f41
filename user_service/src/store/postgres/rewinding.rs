//! A log that went back: how it is recognised, and what is done.
//!
//! Somebody has restored an older copy of the database, or a standby took over that had not received
//! everything. Records are lost that clients and followers know of. One record `log.rewound` makes its
//! position the security stamp of every user, and ids go on above all that may have been given.
//!
//! It begins an incarnation of its own: followers of the former one must not take what comes now for
//! a continuation.

use std::path::Path;

use contract::{EventKind, Incarnation, LogName, Position, RecordData, RecordHash};
use serde::{Deserialize, Serialize};
use shared::file_mark::{Found, Mark};
use shared::postgres::{Session, Timeline, Type};
use shared::secrets::random_bytes;

use super::super::rewound::{Seen, announce, rewound};
use super::StoreError;
use super::group::Group;
use super::log_state::{LogState, stored_hash};
use super::place;

/// The mark in the data directory.
#[derive(Debug, Serialize, Deserialize)]
struct LogMark {
    /// Of which log: `DATABASE_URL` may name another one now.
    log: LogName,
    #[serde(flatten)]
    seen: Seen,
    /// The newest timeline that was seen. Earlier versions have not noted it.
    #[serde(default)]
    timeline: Timeline,
}

/// Why the log is taken to have gone back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Another server, database or table has its content.
    DatabasePutBack,
    /// The log does not have the place that the mark names.
    BeforeMark,
    /// The log does not have the place that this process has seen.
    BeforeSeen,
    /// The log does not have a place where a follower is.
    BeforeFollower,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::DatabasePutBack => "the database was restored to another place",
            Self::BeforeMark => "it has been further, as users-postgres.mark tells",
            Self::BeforeSeen => "it has been further, as this process has seen",
            Self::BeforeFollower => "it has been further, as auth_service tells",
        }
    }
}

/// For the database that was just opened: if its log went back, says so in the log.
pub(super) async fn check_opened(
    group: &mut Group,
    session: &Session,
    marked: &Path,
) -> Result<(), StoreError> {
    let seen = find_mark(marked, &group.state)?;
    if let Some(seen) = seen {
        hear(group, session, seen, Cause::BeforeMark).await?;
    }
    let former = &group.state.place.database;
    let was_moved = !former.is_empty() && *former != group.here.database;
    // A log that ends where this process saw it end has lost nothing.
    let is_whole = seen.is_some_and(|seen| seen.end.position == group.state.end);
    if was_moved && !is_whole && !group.has_records() {
        rewind(group, Cause::DatabasePutBack, None)?;
    }
    place::note(group);
    Ok(())
}

/// Learns where somebody has seen the log, and which ids: whether it went back since.
pub(super) async fn hear(
    group: &mut Group,
    session: &Session,
    seen: Seen,
    cause: Cause,
) -> Result<(), StoreError> {
    let run = seen.end.incarnation;
    group.state.highest_id = group.state.highest_id.max(seen.highest_id);
    if shows_loss(&group.state, session, seen.end.position).await? {
        if may_have_undone(&group.state, session, run).await? {
            return rewind(group, cause, Some(run));
        }
        group.undone.push(run);
    }
    Ok(())
}

/// Whether this place shows that the log has lost records.
async fn shows_loss(
    state: &LogState,
    session: &Session,
    place: Position,
) -> Result<bool, StoreError> {
    let is_place = place.hash != RecordHash::OF_NO_RECORD;
    // A place before the last `log.rewound` belongs to a history that was undone then.
    let is_later = state.last_rewound().is_none_or(|seq| seq < place.seq);
    Ok(is_place && is_later && is_lost(state, session, place).await?)
}

/// Whether the log once had this place, and does not have it now. Of places before its beginning
/// nothing is known.
async fn is_lost(state: &LogState, session: &Session, place: Position) -> Result<bool, StoreError> {
    if place.seq < state.start.seq {
        return Ok(false);
    }
    if place.seq == state.start.seq {
        return Ok(place.hash != state.start.hash);
    }
    Ok(stored_hash(session, place.seq).await? != Some(place.hash))
}

/// Whether records of this run may have been lost without a `log.rewound` so far. What was seen in
/// the present incarnation came after the `log.rewound` that began it. As long as that incarnation
/// lasts, places of all others that are not on the log belong to what was undone then.
async fn may_have_undone(
    state: &LogState,
    session: &Session,
    run: Incarnation,
) -> Result<bool, StoreError> {
    if run == state.incarnation {
        return Ok(true);
    }
    if state.last_rewound().is_some() && state.rewound_by == state.incarnation {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM undone_runs WHERE incarnation = $1)";
    let row = session.query_one(sql, &[(&&run.0[..], Type::BYTEA)]).await?;
    Ok(!row.try_get::<_, bool>(0)?)
}

/// Notes that records of these runs are lost.
pub(super) async fn note_undone(session: &Session, runs: &[Incarnation]) -> Result<(), StoreError> {
    let sql = "INSERT INTO undone_runs SELECT * FROM unnest($1) ON CONFLICT DO NOTHING";
    let runs: Vec<&[u8]> = runs.iter().map(|run| &run.0[..]).collect();
    session.execute(sql, &[(&runs, Type::BYTEA_ARRAY)]).await.map(drop)
}

fn rewind(group: &mut Group, cause: Cause, undone: Option<Incarnation>) -> Result<(), StoreError> {
    let rewound = rewound(group.state.highest_id);
    let ids_through = rewound.ids_through;
    group.state.highest_id = ids_through;
    group.run = Incarnation(random_bytes());
    group.state.incarnation = group.run;
    let data = RecordData::Rewound(rewound);
    let position = group.append(&EventKind::REWOUND, data, None)?;
    group.set_all_stamps(position);
    group.state.rewound_by = group.run;
    group.undone.extend(undone);
    announce(cause.as_str(), position.seq, ids_through);
    Ok(())
}

/// A follower has asked.
pub(super) async fn note_follower(session: &Session) -> Result<(), StoreError> {
    let sql = "INSERT INTO followed DEFAULT VALUES ON CONFLICT DO NOTHING";
    session.execute(sql, &[]).await.map(drop)
}

/// Whether a follower has ever asked.
pub(super) async fn is_followed(session: &Session) -> Result<bool, StoreError> {
    let row = session.query_one("SELECT EXISTS (SELECT 1 FROM followed)", &[]).await?;
    Ok(row.try_get(0)?)
}

/// The mark, if it is of this log. A copy of it tells what was seen as well.
fn find_mark(marked: &Path, state: &LogState) -> Result<Option<Seen>, StoreError> {
    Ok(match Mark::beside(marked).find::<LogMark>()? {
        Found::Kept(mark) | Found::Copy(mark) if mark.log == state.name => Some(mark.seen),
        _ => None,
    })
}

/// The timeline that the mark names. An empty one if there is none.
pub(super) fn marked_timeline(marked: &Path) -> Result<Timeline, StoreError> {
    Ok(match Mark::beside(marked).find::<LogMark>()? {
        Found::Kept(mark) | Found::Copy(mark) => mark.timeline,
        Found::Nothing => Timeline::default(),
    })
}

/// Keeps what was seen as the mark.
pub(super) fn keep_mark(
    marked: &Path,
    log: LogName,
    seen: Seen,
    timeline: Timeline,
) -> Result<(), StoreError> {
    Ok(Mark::beside(marked).keep(&LogMark { log, seen, timeline })?)
}
