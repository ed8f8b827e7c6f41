//! Reads both databases as they lie on the disk, and compares them with what was acknowledged.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::history::{History, User, Users};
use crate::users_at::{End, Found, Reading, UsersAt, list, open, read_end};

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
pub(crate) async fn check<'a>(
    users: impl Into<UsersAt<'a>>,
    projection: &Path,
    history: &History,
    fault_ended: Instant,
    ask_interval: Duration,
) -> (Report, Option<Stored>) {
    let users = users.into();
    loop {
        let is_over = fault_ended.elapsed() > ask_interval;
        // Cheap first: the rest is read only when it may be the end.
        let is_level =
            || users.end().is_ok_and(|end| read_cursor(projection).is_ok_and(|at| at == end));
        if is_over || is_level() {
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

/// Where the projection says that it stands.
fn read_cursor(projection: &Path) -> Reading<End> {
    let sql = "SELECT seq, hash FROM projection_cursor";
    Ok(read_end(&open(projection)?, sql, (-1, String::new()))?)
}

/// The number of the log's last record, and of the last that is applied.
pub(crate) fn read_seqs(users: &PathBuf, projection: &Path) -> Reading<(i64, i64)> {
    let (head, _) = UsersAt::from(users).end()?;
    let (applied, _) = read_cursor(projection)?;
    Ok((head, applied))
}

/// Reads both databases. While somebody writes they need not agree.
pub(crate) fn read<'a>(users: impl Into<UsersAt<'a>>, projection: &Path) -> Reading<Stored> {
    let users = users.into();
    let (head, cursor) = (users.end()?, read_cursor(projection)?);
    let Found { users, log_gaps, created_twice } = users.read()?;
    let sql = "SELECT user_id, username, version, password_version FROM credentials";
    let projection = list(&open(projection)?, sql)?;
    Ok(Stored { users, head, log_gaps, created_twice, projection, cursor })
}
