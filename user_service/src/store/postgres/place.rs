//! Where the log is: which server, database and table, and on which timeline of the server.
//!
//! Another one than before is a copy that was restored, or a standby that took over. Neither needs to
//! have lost anything; but nobody can tell for a process that is gone. So somebody else vouches for the
//! log from then on, which makes followers ask, and ids go on above all that may have been given.

use contract::Incarnation;
use shared::postgres::{Session, Timeline};
use shared::secrets::random_bytes;

use super::super::rewound::IDS_LEFT_OUT;
use super::StoreError;
use super::group::Group;

/// A place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The identities of server, database and table: what tells a database from a copy of it.
    pub(super) database: String,
    /// The number of the server's timeline, which a standby that takes over, and a restored backup
    /// that is recovered, begin anew. Empty if no version so far has noted it.
    pub(super) timeline: String,
}

impl Place {
    /// Where this session is.
    pub(super) async fn read(session: &Session) -> Result<Self, StoreError> {
        // A standby writes on no timeline, and asking it for one is an error.
        let sql = "SELECT concat_ws(' ', system_identifier,
                (SELECT oid FROM pg_database WHERE datname = current_database()),
                'user_log'::regclass::oid),
            CASE WHEN pg_is_in_recovery() THEN ''
                 ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END
            FROM pg_control_system()";
        let row = session.query_one(sql, &[]).await?;
        Ok(Self { database: row.try_get(0)?, timeline: row.try_get(1)? })
    }

    /// The server's timeline.
    pub(super) fn timeline(&self) -> Timeline {
        let system = self.database.split(' ').next().unwrap_or_default().to_owned();
        Timeline { system, number: self.timeline.clone() }
    }

    fn is_noted(&self) -> bool {
        !self.database.is_empty() && !self.timeline.is_empty()
    }
}

/// Notes where the log is. If it was elsewhere before, and has not told its followers yet that it went
/// back, it is in other hands from now on.
pub(super) fn note(group: &mut Group) {
    // A standby has no place to note, and refuses what would be written.
    if group.state.place == group.here || !group.here.is_noted() {
        return;
    }
    if group.state.place.is_noted() && !group.has_records() {
        let (from, to) = (&group.state.place, &group.here);
        tracing::warn!(
            ?from,
            ?to,
            "the log is in another place: ids leave out those that may have been given"
        );
        group.state.highest_id = group.state.highest_id.saturating_add(IDS_LEFT_OUT);
        group.run = Incarnation(random_bytes());
        group.state.incarnation = group.run;
    }
    group.state.place = group.here.clone();
}
