use std::collections::BTreeSet;

use super::super::{migrations, staging, totals};
use super::*;
use contract::{EventKind, LogRewound, SnapshotUser, UserChange};
use shared::log_sync::record_hash;
use shared::secrets::SealingKeys;

/// A database with the log's end that it has applied.
struct Projected {
    connection: Connection,
    cursor: Cursor,
}

impl Projected {
    fn new() -> Self {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::projection().to_latest(&mut connection).unwrap();
        Self {
            connection,
            cursor: Cursor { incarnation: Incarnation([7; 16]), ..Cursor::default() },
        }
    }

    fn apply(&mut self, changes: &[&str]) -> Result<(), ApplyError> {
        let mut at = self.cursor;
        let records: Vec<NextChange> = changes
            .iter()
            .map(|data| next_record(&mut at.position, data, Some("v2.k.x")))
            .collect();
        self.apply_records(&records, at)
    }

    fn apply_records(&mut self, records: &[NextChange], at: Cursor) -> Result<(), ApplyError> {
        apply(&mut self.connection, records, &at)?;
        self.cursor = at;
        Ok(())
    }

    fn find(&self, key: &str) -> Option<Credential> {
        find_credential(&self.connection, key).unwrap()
    }

    fn id_of(&self, key: &str) -> Option<i64> {
        find_credential(&self.connection, key).unwrap().map(|found| found.id.0)
    }
}

fn next_record(at: &mut Position, data: &str, sealed_hash: Option<&str>) -> NextChange {
    let (kind, prev_hash, seq) =
        (EventKind::parse("user.whatever.v9").unwrap(), at.hash, at.seq + 1);
    let hash = record_hash(prev_hash, seq, &kind, 5, data);
    *at = Position { seq, hash };
    let change: UserChange = serde_json::from_str(data).unwrap();
    let data = change.into();
    let sealed_hash = sealed_hash.map(SealedHash::new);
    NextChange { position: *at, prev_hash, data, sealed_hash, traceparent: None }
}

fn user(id: i64, username: &str, password_version: i64) -> String {
    let key = username.to_lowercase();
    serde_json::json!({"id": id, "user": {"username": username, "username_key": key,
        "version": password_version, "password_version": password_version, "new": "member"}})
    .to_string()
}

fn gone(id: i64) -> String {
    format!(r#"{{"id":{id},"user":null}}"#)
}

#[test]
fn a_role_is_known_from_a_record_and_from_a_snapshot_and_goes_with_the_next_that_does_not_tell_it()
{
    let mut projected = Projected::new();
    let admin = user(1, "anna", 1).replace(r#""new":"member""#, r#""is_admin":true"#);
    projected.apply(&[&admin, &user(2, "bert", 1)]).unwrap();
    let is_admin = |projected: &Projected, id| {
        let profile = find_profile(&projected.connection, UserId(id)).unwrap().unwrap();
        let key = profile.username.clone();
        assert!(projected.find(&key).unwrap().profile == profile, "{id}");
        profile.is_admin
    };
    assert_eq!((is_admin(&projected, 1), is_admin(&projected, 2)), (true, false));
    projected.apply(&[&user(1, "anna", 2)]).unwrap();
    assert!(!is_admin(&projected, 1));

    let state = |text: &str| serde_json::from_str::<UserChange>(text).unwrap().user.unwrap();
    let users = [(1, user(1, "anna", 2)), (2, admin.replace("anna", "bert"))]
        .map(|(id, text)| SnapshotUser { id: UserId(id), state: state(&text), sealed_hash: None });
    staging::stage(&mut projected.connection, 1, users.into()).unwrap();
    staging::swap_in(&mut projected.connection, &projected.cursor).unwrap();
    assert_eq!((is_admin(&projected, 1), is_admin(&projected, 2)), (false, true));
}

#[test]
fn a_chain_of_renames_in_one_batch_meets_no_conflict() {
    let mut projected = Projected::new();
    projected.apply(&[&user(1, "a", 1), &user(2, "c", 1)]).unwrap();
    projected.apply(&[&user(1, "b", 1), &user(2, "A", 1)]).unwrap();
    assert_eq!((projected.id_of("b"), projected.id_of("a")), (Some(1), Some(2)));
    assert_eq!(projected.id_of("c"), None);
    assert_eq!(find_cursor(&projected.connection).unwrap(), Some(projected.cursor));
}

#[test]
fn a_user_who_is_gone_is_gone_and_the_name_is_free() {
    let mut projected = Projected::new();
    projected.apply(&[&user(1, "a", 1), &gone(1)]).unwrap();
    projected.apply(&[&user(2, "a", 1)]).unwrap();
    assert_eq!(projected.id_of("a"), Some(2));
    projected.apply(&[&gone(7)]).unwrap();
}

#[test]
fn after_a_log_that_went_back_its_record_is_everybodys_stamp() {
    let mut projected = Projected::new();
    projected.apply(&[&user(1, "a", 1), &user(2, "b", 1), &user(9, "c", 1), &gone(9)]).unwrap();
    let mut at = projected.cursor;
    let prev_hash = at.position.hash;
    at.position = Position { seq: at.position.seq + 1, hash: RecordHash([7; 16]) };
    let data = RecordData::Rewound(LogRewound { ids_through: 1_000_009, written_by: None });
    let (position, sealed_hash, traceparent) = (at.position, None, None);
    let next = NextChange { position, prev_hash, data, sealed_hash, traceparent };
    projected.apply_records(&[next], at).unwrap();
    for name in ["a", "b"] {
        assert_eq!(projected.find(name).unwrap().stamp, at.position, "{name}");
    }
    let highest = find_highest_id(&projected.connection).unwrap();
    assert_eq!(highest, Some(UserId(9)), "it counts although the user is gone");
}

#[test]
fn a_batch_with_one_bad_record_changes_nothing_and_names_it() {
    let mut projected = Projected::new();
    let refused = projected.apply(&[&user(1, "a", 1), &user(2, "A", 1)]);
    assert!(matches!(refused, Err(ApplyError::Unappliable { seq: 2, .. })), "{refused:?}");
    assert_eq!((projected.id_of("a"), projected.cursor.position.seq), (None, 0));
    assert_eq!(find_cursor(&projected.connection).unwrap(), None);
}

#[test]
fn a_record_without_a_hash_leaves_that_of_the_same_password_and_no_other() {
    let mut projected = Projected::new();
    projected.apply(&[&user(1, "a", 1)]).unwrap();
    for (data, kept) in [(user(1, "b", 1), true), (user(1, "b", 2), false)] {
        let mut at = projected.cursor;
        let record = next_record(&mut at.position, &data, None);
        projected.apply_records(&[record], at).unwrap();
        assert_eq!(projected.find("b").unwrap().sealed_hash.is_some(), kept);
    }
}

#[test]
fn a_record_that_names_no_stamp_is_the_stamp_unless_it_leaves_the_password_as_it_was() {
    let mut projected = Projected::new();
    projected.apply(&[&user(1, "a", 1)]).unwrap();
    let created = projected.cursor.position;
    assert_eq!(projected.find("a").unwrap().stamp, created);
    // As a user_service that knew no stamps renames.
    projected.apply(&[&user(1, "b", 1)]).unwrap();
    assert_eq!(projected.find("b").unwrap().stamp, created);
    projected.apply(&[&user(1, "b", 2)]).unwrap();
    assert_eq!(projected.find("b").unwrap().stamp, projected.cursor.position);
    let mut named: serde_json::Value = serde_json::from_str(&user(1, "c", 2)).unwrap();
    named["user"]["stamp"] = serde_json::to_value(created).unwrap();
    projected.apply(&[&named.to_string()]).unwrap();
    assert_eq!(projected.find("c").unwrap().stamp, created, "user_service knows it");
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
    projected.cursor.position = Position { seq: 4, hash: RecordHash([1; 16]) };
    assert!(projected.apply(&[&user(1, "a", 1)]).is_err());
    assert!(projected.apply(&[]).is_err());
}

#[test]
fn the_counts_of_hashes_by_key_are_those_of_the_rows_after_every_change() {
    let mut projected = Projected::new();
    let count = |projected: &Projected| {
        let sql = "SELECT substr(sealed_hash, 1, 4), count(*) FROM credentials
                   WHERE sealed_hash IS NOT NULL GROUP BY 1";
        let mut statement = projected.connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<rusqlite::Result<Vec<(String, i64)>>>().unwrap()
    };
    let gone = r#"{"id":1,"user":null}"#.to_owned();
    for (data, sealed_hash) in [
        (user(1, "a", 1), Some("v2.a.x")),
        (user(2, "b", 1), Some("v2.a.y")),
        (user(2, "b", 1), None),
        (user(2, "b", 1), Some("v2.b.y")),
        (user(3, "c", 1), None),
        (user(2, "b", 2), None),
        (user(3, "c", 1), Some("v2.b.z")),
        (gone.clone(), None),
        (gone, None),
    ] {
        let mut at = projected.cursor;
        let record = next_record(&mut at.position, &data, sealed_hash);
        projected.apply_records(&[record], at).unwrap();
        let counts: Vec<_> = totals::find_hash_counts(&projected.connection)
            .unwrap()
            .into_iter()
            .map(|(key, count)| (key, i64::try_from(count).unwrap()))
            .collect();
        assert_eq!(counts, count(&projected), "{data}");
    }
    assert_eq!(count(&projected), [("v2.b".to_owned(), 1)]);
}

#[test]
fn a_lot_falls_on_a_user_who_is_there_and_on_all_of_them() {
    let keys = SealingKeys::parse(&SealingKeys::generate()).unwrap();
    let lots: Vec<Lot> = (0..300).map(|n| Lot::of(&format!("name{n}"), &keys)).collect();
    let mut projected = Projected::new();
    let drawn = |projected: &Projected| {
        let stand_in = |lot: &Lot| find_stand_in(&projected.connection, *lot).unwrap();
        lots.iter().map(|lot| stand_in(lot).map(|user| user.id.0)).collect::<BTreeSet<_>>()
    };
    assert_eq!(drawn(&projected), BTreeSet::from([None]), "there are no users");
    projected.apply(&[&user(3, "c", 1), &user(4, "d", 1), &user(9, "i", 1)]).unwrap();
    assert_eq!(drawn(&projected), BTreeSet::from([Some(3), Some(4), Some(9)]));
    projected.apply(&[&gone(9), &gone(3)]).unwrap();
    assert_eq!(drawn(&projected), BTreeSet::from([Some(4)]));
}
