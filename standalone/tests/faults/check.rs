//! Reads both databases as they lie on the disk, and compares them with what was acknowledged.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use contract::RecordHash;
use rusqlite::{Connection, OpenFlags};

use crate::history::{History, User, Users};

/// The services agree within this time of a fault's end.
pub(crate) const AGREEMENT_BOUND: Duration = Duration::from_secs(5);
/// What a test grants them, so that a build does not fail because its machine is busy with other
/// things. `scripts/chaos.sh` holds them to the bound.
pub(crate) const UNHURRIED_BOUND: Duration = Duration::from_secs(30);
/// After that they never will: what is wrong then is told.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Both databases at one moment, in agreement or not.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// In user_service's database.
    pub(crate) users: Users,
    /// Its log's end.
    pub(crate) head: (i64, String),
    /// Numbers that the log lacks between its first and its last.
    pub(crate) log_gaps: i64,
    /// Names whose creation is in the log more than once.
    pub(crate) created_twice: Vec<String>,
    /// In auth_service's database.
    pub(crate) projection: Users,
    /// Where it says that it stands.
    pub(crate) cursor: (i64, String),
}

/// What a check found; all is well if the lists are empty and the time is short.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Acknowledged and not there.
    pub(crate) lost: Vec<String>,
    /// There more often than asked for.
    pub(crate) doubled: Vec<String>,
    /// There and never asked for.
    pub(crate) invented: Vec<String>,
    /// Between the two, or within one of them.
    pub(crate) disagreements: Vec<String>,
    /// From the fault's end.
    pub(crate) time_to_agreement: Duration,
    pub(crate) acknowledged: u64,
    pub(crate) uncertain: u64,
}

impl Report {
    /// Whether nothing is wrong, and the services agreed within `bound`.
    pub(crate) fn is_clean(&self, bound: Duration) -> bool {
        self.time_to_agreement <= bound
            && [&self.lost, &self.doubled, &self.invented, &self.disagreements]
                .iter()
                .all(|list| list.is_empty())
    }

    /// The first few of everything that is wrong.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let lists = [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("invented", &self.invented),
            ("disagreement", &self.disagreements),
        ];
        let of_each = |(name, list): (&str, &Vec<String>)| {
            list.iter().take(5).map(|what| format!("{name}: {what}")).collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(of_each).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} acknowledged, {} uncertain, {} lost, {} doubled, {} invented, agreed after {:.2} s",
            self.acknowledged,
            self.uncertain,
            self.lost.len(),
            self.doubled.len(),
            self.invented.len(),
            self.time_to_agreement.as_secs_f64(),
        )
    }
}

/// Waits until both databases agree, or the ask_interval ends, then checks them against the history.
pub(crate) async fn check(
    users: &Path,
    projection: &Path,
    history: &History,
    fault_ended: Instant,
    ask_interval: Duration,
) -> (Report, Option<Stored>) {
    loop {
        let is_over = fault_ended.elapsed() > ask_interval;
        // Cheap first: the rest is read only when it may be the end.
        let ends = open(users, projection).and_then(|databases| read_ends(&databases));
        if is_over || ends.is_ok_and(|(head, cursor)| head == cursor) {
            let elapsed = fault_ended.elapsed();
            match read(users, projection) {
                Ok(stored) if is_over || stored.agrees() => {
                    let report = compare(history, &stored);
                    return (Report { time_to_agreement: elapsed, ..report }, Some(stored));
                }
                Err(error) if is_over => {
                    let disagreements = vec![format!("the databases cannot be read: {error}")];
                    let report = Report { disagreements, ..Report::default() };
                    return (Report { time_to_agreement: elapsed, ..report }, None);
                }
                Ok(_) | Err(_) => {}
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

impl Stored {
    fn agrees(&self) -> bool {
        self.head == self.cursor && self.users == self.projection
    }
}

/// Compares; the time to agreement is left open.
pub(crate) fn compare(history: &History, stored: &Stored) -> Report {
    let mut report = Report {
        acknowledged: history.acknowledged,
        uncertain: history.uncertain,
        ..Report::default()
    };
    compare_users("user_service", history, &stored.users, &mut report);
    compare_users("auth_service", history, &stored.projection, &mut report);
    report.lost.extend(history.contradictions.iter().cloned());
    report.doubled.extend(stored.created_twice.iter().map(|name| format!("creation of {name}")));
    let notes = &mut report.disagreements;
    if stored.log_gaps != 0 {
        notes.push(format!("the log lacks {} numbers", stored.log_gaps));
    }
    if stored.head != stored.cursor {
        notes.push(format!("the log ends at {:?}, the cursor is {:?}", stored.head, stored.cursor));
    }
    for id in stored.users.keys().chain(stored.projection.keys()) {
        let (one, other) = (stored.users.get(id), stored.projection.get(id));
        if one != other {
            notes.push(format!("user {id} is {one:?} here and {other:?} there"));
        }
    }
    report
}

fn compare_users(place: &str, history: &History, found: &Users, report: &mut Report) {
    for (id, outcome) in &history.outcomes {
        let there = found.get(id);
        if outcome.allows(there) {
            continue;
        }
        let what = format!("user {id} in {place} is {there:?} after {outcome:?}");
        let newest = |user: &User| {
            let uncertain = outcome.uncertain.iter().flatten();
            outcome.acknowledged.iter().chain(uncertain).all(|known| user.version > known.version)
        };
        match (there, &outcome.acknowledged) {
            (Some(user), Some(_)) if newest(user) => report.doubled.push(what),
            (Some(user), Some(known)) if user.version == known.version => {
                report.invented.push(what);
            }
            _ => report.lost.push(what),
        }
    }
    let mut uncertain = history.uncertain_creations.clone();
    for (id, user) in found.iter().filter(|(id, _)| !history.outcomes.contains_key(id)) {
        let expected = uncertain.iter().position(|name| User::created(name) == *user);
        match expected {
            Some(index) => drop(uncertain.swap_remove(index)),
            None => report.invented.push(format!("user {id} in {place} is {user:?}")),
        }
    }
}

/// The log's end and the projection's cursor, each with its hash.
type Ends = ((i64, String), (i64, String));

fn open(users: &Path, projection: &Path) -> rusqlite::Result<[Connection; 2]> {
    let open = |path| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    Ok([open(users)?, open(projection)?])
}

fn read_ends([users, projection]: &[Connection; 2]) -> rusqlite::Result<Ends> {
    let read = |connection: &Connection, sql: &str, default: (i64, String)| {
        let end = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
        match end {
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(default),
            other => other,
        }
    };
    let head = "SELECT seq, lower(hex(hash)) FROM user_log ORDER BY seq DESC LIMIT 1";
    let cursor = "SELECT seq, hash FROM projection_cursor";
    let of_empty = (0, RecordHash::default().to_string());
    Ok((read(users, head, of_empty)?, read(projection, cursor, (-1, String::new()))?))
}

/// The number of the log's last record, and of the last that is applied.
pub(crate) fn read_seqs(users: &Path, projection: &Path) -> rusqlite::Result<(i64, i64)> {
    let ((head, _), (applied, _)) = read_ends(&open(users, projection)?)?;
    Ok((head, applied))
}

/// Reads both databases. While somebody writes they need not agree.
pub(crate) fn read(users: &Path, projection: &Path) -> rusqlite::Result<Stored> {
    let databases = open(users, projection)?;
    let (head, cursor) = read_ends(&databases)?;
    let [users, projection] = databases;
    let log_gaps = users.query_row(
        "SELECT coalesce(max(seq) - min(seq) + 1, 0) - count(*) FROM user_log",
        [],
        |row| row.get(0),
    )?;
    let mut twice = users.prepare(
        "SELECT data ->> '$.user.username' AS name FROM user_log WHERE kind = 'user.created.v1'
         GROUP BY name HAVING count(*) > 1",
    )?;
    let created_twice = twice.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Stored {
        users: list(&users, "SELECT id, username, version, password_version FROM users")?,
        head,
        log_gaps,
        created_twice,
        projection: list(
            &projection,
            "SELECT user_id, username, version, password_version FROM credentials",
        )?,
        cursor,
    })
}

fn list(connection: &Connection, sql: &str) -> rusqlite::Result<Users> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let (username, version, password_version) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((row.get(0)?, User { username, version, password_version }))
    })?;
    rows.collect()
}
