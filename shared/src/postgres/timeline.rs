//! Which of two servers with the same history is the present one.
//!
//! A standby that takes over begins a timeline with a higher number. If its former primary runs
//! again, or was only cut off, both can be written: what a client writes to the former one is lost
//! sooner or later. So a server on an older timeline than one that was seen is not used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Session;
use crate::store_error::StoreError;

/// A timeline of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The identity of the server, which it shares with its standbys and its base backups.
    pub system: String,
    /// The number: eight hexadecimal digits. Empty of a standby, which writes on none.
    pub number: String,
}

/// The server is not the present primary.
#[derive(Debug, thiserror::Error)]
#[error(
    "PostgreSQL is on timeline {met}, and timeline {seen} of it was seen: a former primary runs \
     again, or an old copy was restored. Stop that server. If it is the one to be used, stop all \
     services and delete their users-postgres.mark"
)]
struct FormerPrimary {
    met: String,
    seen: String,
}

/// The newest timeline that was seen.
pub(super) struct NewestTimeline {
    seen: watch::Sender<Timeline>,
    /// How often a newer one was seen: sessions from before may belong to a former primary.
    takeovers: Arc<AtomicU64>,
    /// The last one that was met was older.
    has_met_older: AtomicBool,
}

impl NewestTimeline {
    pub(super) fn new() -> Self {
        let (seen, takeovers) = (watch::Sender::new(Timeline::default()), Arc::default());
        Self { seen, takeovers, has_met_older: AtomicBool::new(false) }
    }

    /// Reads the timeline of this session's server.
    pub(super) async fn read(session: &Session) -> Result<Timeline, StoreError> {
        // A standby writes on no timeline, and asking it for one is an error.
        let sql = "SELECT system_identifier::text,
                CASE WHEN pg_is_in_recovery() THEN ''
                     ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END
            FROM pg_control_system()";
        let row = session.query_one(sql, &[]).await?;
        let read = |column| row.try_get(column).map_err(StoreError::from);
        Ok(Timeline { system: read(0)?, number: read(1)? })
    }

    /// A server on this timeline was met.
    pub(super) fn meet(&self, met: &Timeline) -> Result<(), StoreError> {
        let mut newer = None;
        // Compared and replaced as one: of two threads that meet two servers, none goes back.
        let has_changed = self.seen.send_if_modified(|seen| {
            let is_comparable = met.system == seen.system && !met.number.is_empty();
            if is_comparable && met.number < seen.number {
                newer = Some(seen.number.clone());
                return false;
            }
            let is_another = !met.number.is_empty() && met != seen;
            if is_another {
                seen.clone_from(met);
            }
            is_another
        });
        if has_changed {
            self.takeovers.fetch_add(1, Ordering::AcqRel);
        }
        let was_older = self.has_met_older.swap(newer.is_some(), Ordering::Relaxed);
        let Some(seen) = newer else { return Ok(()) };
        let error = FormerPrimary { met: met.number.clone(), seen };
        if !was_older {
            tracing::error!("{error}");
        }
        Err(StoreError::Unavailable(Arc::new(error)))
    }

    pub(super) fn seen(&self) -> Timeline {
        self.seen.borrow().clone()
    }

    pub(super) fn has_met_older(&self) -> bool {
        self.has_met_older.load(Ordering::Relaxed)
    }

    /// What tells a session whether somebody has taken over since now.
    pub(super) fn takeovers(&self) -> Takeovers {
        Takeovers {
            before: self.takeovers.load(Ordering::Acquire),
            now: Arc::clone(&self.takeovers),
        }
    }
}

/// Whether somebody has taken over since a session began.
pub(super) struct Takeovers {
    before: u64,
    now: Arc<AtomicU64>,
}

impl Takeovers {
    pub(super) fn happened(&self) -> bool {
        self.now.load(Ordering::Acquire) != self.before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(system: &str, number: &str) -> Timeline {
        Timeline { system: system.to_owned(), number: number.to_owned() }
    }

    #[test]
    fn an_older_timeline_of_the_same_server_is_refused_until_the_newer_one_is_met_again() {
        let newest = NewestTimeline::new();
        newest.meet(&timeline("a", "00000001")).unwrap();
        let before = newest.takeovers();
        newest.meet(&timeline("a", "")).unwrap();
        assert!(!before.happened(), "a standby takes nothing over by being asked");
        newest.meet(&timeline("a", "0000000A")).unwrap();
        assert!(before.happened());
        let refused = newest.meet(&timeline("a", "00000009")).unwrap_err();
        assert!(refused.cause().to_string().contains("on timeline 00000009"), "{refused:?}");
        assert!(newest.has_met_older() && refused.is_passing());
        newest.meet(&timeline("a", "0000000A")).unwrap();
        assert!(!newest.has_met_older());
        newest.meet(&timeline("b", "00000001")).unwrap();
        assert_eq!(newest.seen(), timeline("b", "00000001"), "another server has its own numbers");
    }
}
