//! A snapshot while it arrives: staged in a separate table, and swapped in as a whole.

use contract::{Cursor, SnapshotUser, UsersChecksum};
use rusqlite::{Connection, TransactionBehavior};

use super::super::{Refused, StoreError};
use super::projection::{WriteError, note_id, write, write_cursor};
use super::totals::Totals;

const INSERT: &str = "INSERT INTO staged_credentials VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Stages a part of a snapshot; the first part deletes what was staged before. Answers with the users
/// who were left out: one user whom this version cannot store must not keep all others out.
pub(in crate::store) fn stage(
    connection: &mut Connection,
    part: u32,
    users: Vec<SnapshotUser>,
) -> Result<Vec<Refused>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if part == 1 {
        transaction.execute("DELETE FROM staged_credentials", [])?;
    }
    let mut refused = Vec::new();
    for user in users {
        let SnapshotUser { id, state, sealed_hash } = &user;
        let columns = (*id, state, sealed_hash.as_ref(), state.stamp);
        match write(&transaction, INSERT, columns) {
            Ok(()) => {}
            Err(WriteError::Refused(reason)) => refused.push(Refused { user, reason }),
            Err(WriteError::Store(error)) => return Err(error),
        }
    }
    transaction.commit()?;
    Ok(refused)
}

/// Puts the staged users in the projection's place, with the snapshot's cursor, in one
/// transaction. Answers with the checksum over all users then.
///
/// A user_service that knows no stamps sends none. Then the snapshot's position is the stamp of all
/// its users: whether a user has the password of before, or is even the same person, is not known.
pub(in crate::store) fn swap_in(
    connection: &mut Connection,
    cursor: &Cursor,
) -> Result<UsersChecksum, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("DELETE FROM credentials", [])?;
    transaction.execute(
        "INSERT INTO credentials
         SELECT user_id, username, username_key, sealed_hash, version, password_version,
                coalesce(stamp, ?1), is_admin
         FROM staged_credentials",
        [cursor.position.to_bytes()],
    )?;
    transaction.execute("DELETE FROM staged_credentials", [])?;
    let sql = "SELECT max(user_id) FROM credentials";
    note_id(&transaction, transaction.query_row(sql, [], |row| row.get(0))?)?;
    let totals = Totals::sum(&transaction)?;
    transaction.execute("DELETE FROM hash_counts", [])?;
    totals.write_hash_counts(&transaction)?;
    write_cursor(&transaction, cursor, totals.checksum)?;
    transaction.commit()?;
    Ok(totals.checksum)
}

#[cfg(test)]
mod tests {
    use super::super::migrations;
    use super::super::projection::{find_credential, find_cursor};
    use super::*;
    use contract::{Position, SealedHash, UserId, UserState};
    use shared::log_sync::user_checksum;

    fn cursor_at(seq: i64) -> Cursor {
        Cursor { position: Position { seq, ..Position::default() }, ..Cursor::default() }
    }

    fn user(id: i64, username: &str, password_version: i64) -> SnapshotUser {
        let (username, username_key) = (username.to_owned(), username.to_lowercase());
        let version = password_version;
        let (stamp, is_admin) = (None, false);
        let state =
            UserState { username, username_key, version, password_version, stamp, is_admin };
        SnapshotUser { id: UserId(id), state, sealed_hash: Some(SealedHash::new("v2.k.x")) }
    }

    #[test]
    fn a_snapshot_replaces_everything_at_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::projection().to_latest(&mut connection).unwrap();
        stage(&mut connection, 1, vec![user(1, "gone", 1), user(2, "stays", 1)]).unwrap();
        stage(&mut connection, 2, vec![user(3, "changes", 1)]).unwrap();
        swap_in(&mut connection, &cursor_at(3)).unwrap();

        stage(&mut connection, 1, vec![user(9, "leftover", 1)]).unwrap();
        stage(&mut connection, 1, vec![user(2, "STAYS", 1), user(3, "gone", 2)]).unwrap();
        stage(&mut connection, 2, vec![user(4, "unknown", 5)]).unwrap();
        assert!(find_credential(&connection, "changes").unwrap().is_some());

        let cursor = cursor_at(9);
        swap_in(&mut connection, &cursor).unwrap();
        assert_eq!(find_cursor(&connection).unwrap(), Some(cursor));
        assert_eq!(find_credential(&connection, "gone").unwrap().unwrap().id, UserId(3));
        assert!(find_credential(&connection, "changes").unwrap().is_none());
    }

    #[test]
    fn without_a_stamp_the_snapshots_position_is_the_stamp() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::projection().to_latest(&mut connection).unwrap();
        let mut told = user(1, "told", 1);
        told.state.stamp = Some(cursor_at(3).position);
        stage(&mut connection, 1, vec![told, user(2, "untold", 1)]).unwrap();
        swap_in(&mut connection, &cursor_at(9)).unwrap();
        let stamp = |key| find_credential(&connection, key).unwrap().unwrap().stamp.seq;
        assert_eq!((stamp("told"), stamp("untold")), (3, 9));
    }

    #[test]
    fn a_projection_without_stamps_is_not_on_the_log_so_that_a_snapshot_brings_them() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::projection().to_version(&mut connection, 4).unwrap();
        connection
            .execute_batch(
                "INSERT INTO credentials VALUES (1, 'anna', 'anna', NULL, 1, 1);
                 INSERT INTO projection_cursor VALUES (1, hex(zeroblob(16)), 7, hex(zeroblob(16)), NULL)",
            )
            .unwrap();
        migrations::projection().to_latest(&mut connection).unwrap();
        assert!(find_credential(&connection, "anna").unwrap().is_some(), "she logs in meanwhile");
        let Position { seq, hash } = find_cursor(&connection).unwrap().unwrap().position;
        assert_eq!((seq, hash.0), (7, [0xff; 16]));
    }

    #[test]
    fn a_user_who_cannot_be_taken_in_stays_outside_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::projection().to_latest(&mut connection).unwrap();
        let users = vec![user(1, "same", 1), user(2, "SAME", 1), user(4, "d", 1)];
        let refused = stage(&mut connection, 1, users).unwrap();
        let ids: Vec<i64> = refused.iter().map(|refused| refused.user.id.0).collect();
        assert_eq!(ids, [2]);
        let checksum = swap_in(&mut connection, &Cursor::default()).unwrap();
        let expected = user_checksum(UserId(1), 1, "same").plus(user_checksum(UserId(4), 1, "d"));
        assert_eq!(checksum, expected);
    }
}
