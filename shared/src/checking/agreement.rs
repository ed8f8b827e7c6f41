//! Whether both services have the same users.

use contract::RecordHash;
use serde::{Deserialize, Serialize};

use super::{Finding, Place};

const KEEP_RUNNING: &str = "nothing, while both services run: auth_service compares the checksums each second, and \
    loads all users again. If it comes back, somebody else writes to one of the databases";
const FOLLOW: &str =
    "nothing, while both services run: auth_service asks user_service, and loads all users again";

/// Whether the projection has the users that user_service has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// Both have the same users after this record.
    Agree {
        /// The record.
        seq: i64,
    },
    /// They differ at the same record.
    Differ(Finding),
    /// They are at different records.
    NotCompared {
        /// In words.
        reason: String,
    },
}

impl Agreement {
    /// Compares the users of user_service with those of a projection.
    pub fn of(users: &Place, projection: &Place) -> Self {
        let (seq, at) = (users.seq, projection.seq);
        if projection.hash == RecordHash::OF_NO_RECORD || seq != at {
            let reason = format!(
                "the users are at record {seq} of the log, and the projection is at record {at}: it catches up \
                 while both services run. Check again then"
            );
            return Self::NotCompared { reason };
        }
        if users.hash != projection.hash {
            let problem = format!("record {seq} is not the one that the projection has followed");
            return Self::Differ(Finding::new(problem, FOLLOW));
        }
        if users.checksum != projection.checksum {
            let problem = format!(
                "after record {seq}, the projection does not have the users of user_service"
            );
            return Self::Differ(Finding::new(problem, KEEP_RUNNING));
        }
        Self::Agree { seq }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::UsersChecksum;

    fn place(seq: i64, hash: u8, checksum: u8) -> Place {
        Place { seq, hash: RecordHash([hash; 16]), checksum: UsersChecksum([checksum; 16]) }
    }

    #[test]
    fn only_what_is_at_the_same_record_is_compared() {
        let users = place(5, 1, 1);
        assert_eq!(Agreement::of(&users, &users), Agreement::Agree { seq: 5 });
        for (projection, word) in [(place(5, 2, 1), "followed"), (place(5, 1, 2), "the users")] {
            let Agreement::Differ(finding) = Agreement::of(&users, &projection) else {
                panic!("{projection:?}");
            };
            assert!(finding.problem.contains(word), "{finding:?}");
        }
        for projection in [place(4, 1, 2), place(6, 1, 1), place(5, 0xff, 2)] {
            let compared = Agreement::of(&users, &projection);
            assert!(matches!(compared, Agreement::NotCompared { .. }), "{compared:?}");
        }
    }
}
