use super::*;
use contract::{Incarnation, RecordHash};
use shared::log_sync::extend;

/// A database with the log's end that it has applied.
struct Projected {
    connection: Connection,
    cursor: Cursor,
}

impl Projected {
    fn new() -> Self {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations().to_latest(&mut connection).unwrap();
        Self {
            connection,
            cursor: Cursor { incarnation: Incarnation([7; 16]), ..Cursor::default() },
        }
    }

    fn apply(&mut self, changes: &[(EventKind, &str)]) -> Result<(), ApplyError> {
        let mut at = self.cursor;
        let records: Vec<LogRecord> =
            changes.iter().map(|(kind, data)| next_record(&mut at, *kind, data)).collect();
        apply(&mut self.connection, &records, &at)?;
        self.cursor = at;
        Ok(())
    }

    fn id_of(&self, key: &str) -> Option<i64> {
        find_credential(&self.connection, key).unwrap().map(|found| found.id.0)
    }
}

fn next_record(at: &mut Cursor, kind: EventKind, data: &str) -> LogRecord {
    let (seq, previous) = (at.seq + 1, at.chain);
    let chain = extend(previous, seq, kind, 5, data);
    (at.seq, at.chain) = (seq, chain);
    LogRecord {
        seq,
        previous,
        chain,
        kind,
        recorded_at_ms: 5,
        traceparent: None,
        data: data.into(),
    }
}

fn user(id: i64, username: &str) -> String {
    format!(
        r#"{{"id":{id},"username":"{username}","version":1,"password_version":1,"password_hash":"v1.k.x"}}"#
    )
}

#[test]
fn a_chain_of_renames_in_one_batch_meets_no_conflict() {
    let mut projected = Projected::new();
    let (a, c) = (user(1, "a"), user(2, "c"));
    projected.apply(&[(EventKind::Created, &a), (EventKind::Created, &c)]).unwrap();
    let (b, a) = (user(1, "b"), user(2, "A"));
    projected.apply(&[(EventKind::Updated, &b), (EventKind::Updated, &a)]).unwrap();
    assert_eq!((projected.id_of("b"), projected.id_of("a")), (Some(1), Some(2)));
    assert_eq!(projected.id_of("c"), None);
    assert_eq!(find_cursor(&projected.connection).unwrap(), Some(projected.cursor));
}

#[test]
fn a_deleted_user_is_gone_and_the_name_is_free() {
    let mut projected = Projected::new();
    let deleted = r#"{"id":1,"username":"a","version":2,"password_version":1}"#;
    projected.apply(&[(EventKind::Created, &user(1, "a")), (EventKind::Deleted, deleted)]).unwrap();
    projected.apply(&[(EventKind::Created, &user(2, "a"))]).unwrap();
    assert_eq!(projected.id_of("a"), Some(2));
}

#[test]
fn a_batch_with_one_bad_record_changes_nothing_and_names_it() {
    for (kind, bad) in [
        (EventKind::Created, user(2, "A")),
        (EventKind::Created, user(2, "a b")),
        (EventKind::Created, "{}".to_owned()),
        (EventKind::Created, r#"{"id":2,"username":"b","version":1,"password_version":1}"#.into()),
        (EventKind::Updated, user(3, "c")),
        (EventKind::Deleted, user(3, "c")),
    ] {
        let mut projected = Projected::new();
        let refused = projected.apply(&[(EventKind::Created, &user(1, "a")), (kind, &bad)]);
        assert!(matches!(refused, Err(ApplyError::Unappliable { seq: 2, .. })), "{bad}");
        assert_eq!((projected.id_of("a"), projected.cursor.seq), (None, 0));
        assert_eq!(find_cursor(&projected.connection).unwrap(), None);
    }
}

#[test]
fn an_empty_batch_stores_the_cursor() {
    let mut projected = Projected::new();
    projected.apply(&[]).unwrap();
    assert_eq!(find_cursor(&projected.connection).unwrap(), Some(projected.cursor));
}

#[test]
fn a_hole_is_refused_although_the_follower_should_never_ask_for_it() {
    let mut projected = Projected::new();
    projected.cursor = Cursor { seq: 4, chain: RecordHash([1; 16]), ..Cursor::default() };
    assert!(projected.apply(&[(EventKind::Created, &user(1, "a"))]).is_err());
    assert!(projected.apply(&[]).is_err());
}
