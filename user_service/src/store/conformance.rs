//! What every engine must guarantee, as tests that each engine passes:
//! `passes_conformance!(engine())`, where `engine()` makes an [`Engine`] with an empty database.

mod positions;
mod rewinding;

use std::sync::Arc;

use contract::{EventKind, Head, Position, RecordHash, UserChange, UserId, UsersChecksum};
use shared::hashing::PasswordHash;
use shared::idempotency::{IdempotentRequest, RETENTION_MS};
use shared::identity::Username;
use shared::log_sync::{follows, user_checksum};

use super::{
    Change, ChangeError, Committed, CreateUser, DeleteUser, EndSessions, LEASE_LENGTH, Lease,
    LeaseClaim, LogReader, Opened, Outcome, Pruned, Reader, ReplaceHash, Retention, SetRole, Store,
    StoreError, StoredRecord, UpdateUser, Writer,
};
use crate::domain::{NewPassword, PasswordPermit, Precondition, Tag, Tags, User, Written};

pub(super) use positions::*;
pub(super) use rewinding::*;

const NOW_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A database of one engine, and operations that only its own tests can perform.
pub(super) trait Engine {
    /// The database; every call returns the same one.
    fn store(&self) -> Arc<dyn Store>;

    /// From now on the engine fails to record changes that leave this name.
    fn fail_to_record(&self, username: &str);

    /// Stores this compared form of the name, as if a version with other rules had written the
    /// database.
    fn compare_by_older_rules(&self, username: &str, key: &str);

    /// Keeps a copy of the closed database.
    fn keep_copy(&self);

    /// Replaces the closed database by the copy.
    fn put_copy_back(&self);

    /// Changes the kind of the log's last record, as if another version had written it.
    fn rename_last_kind(&self, kind: &str);
}

/// Defines a macro that makes one test of each case for one engine.
macro_rules! cases {
    ($d:tt $($case:ident,)*) => {
        macro_rules! passes_conformance {
            ($d engine:expr) => {
                $(#[actix::test]
                async fn $case() {
                    $d crate::store::conformance::$case(&$d engine).await;
                })*
            };
        }
        pub(super) use passes_conformance;
    };
}

cases! { $
    an_id_is_never_used_again_not_even_after_a_restart,
    a_taken_name_costs_no_id_and_is_refused_alone,
    a_change_that_fails_is_undone_alone,
    records_are_dense_and_each_has_the_hash_of_the_one_before,
    a_record_states_what_is_left_and_holds_no_hash,
    a_record_comes_with_the_hash_of_its_password_while_that_is_the_present_one,
    a_record_of_an_unknown_kind_is_read,
    a_repeated_request_gets_the_first_answer_and_changes_nothing,
    that_a_name_was_taken_is_remembered_too,
    a_precondition_is_evaluated_on_what_the_change_before_it_left,
    an_update_that_changes_nothing_leaves_no_record,
    a_name_and_a_password_change_together_or_not_at_all,
    of_two_changes_of_a_password_with_the_same_current_one_only_one_is_made,
    a_name_is_unique_without_regard_to_case_and_free_when_its_user_has_another,
    a_new_hash_is_stored_for_the_present_password_alone,
    a_password_is_set_for_the_stamp_of_a_reset_or_by_an_administrator,
    the_end_of_all_sessions_changes_the_stamp_and_nothing_that_is_shown,
    a_role_is_kept_in_the_log_and_a_new_one_ends_all_sessions,
    what_is_old_and_published_is_pruned_and_the_log_goes_on,
    what_is_not_published_or_among_the_newest_rows_stays,
    a_clock_that_was_wrong_does_not_stop_pruning,
    expired_responses_are_pruned,
    a_snapshot_stays_at_its_place_while_others_write,
    the_published_place_is_kept_and_never_goes_back,
    a_confirmed_place_that_the_log_does_not_have_is_not_recorded,
    the_checksum_is_that_of_the_users_after_every_change,
    a_restart_keeps_everything_and_begins_a_new_incarnation,
    users_are_found_by_id_and_name_and_listed_in_pages,
    a_key_by_older_rules_is_renewed_with_a_record_unless_another_user_has_it,
    a_user_keeps_the_record_of_the_last_change_and_of_the_password,
    two_histories_of_a_log_share_no_position_and_no_tag,
    a_log_that_was_put_back_says_so_first_and_gives_no_id_again,
    a_follower_that_has_been_further_shows_once_that_the_log_went_back,
    a_follower_on_the_log_shows_nothing_but_its_ids,
}

/// An opened database with its readers.
struct Db {
    store: Arc<dyn Store>,
    writer: Box<dyn Writer>,
    head: Head,
    reader: Box<dyn Reader>,
    log: Box<dyn LogReader>,
}

impl Db {
    async fn open(engine: &impl Engine) -> Self {
        let store = engine.store();
        let Opened { writer, head, .. } = store.open_writer(NOW_MS).await.unwrap();
        let reader = store.open_reader().await.unwrap();
        let log = store.open_log_reader().await.unwrap();
        Self { store, writer, head, reader, log }
    }

    async fn close(self) {
        drop((self.store, self.reader, self.log));
        self.writer.close().await.unwrap();
    }

    async fn reopen(self, engine: &impl Engine) -> Self {
        self.close().await;
        Self::open(engine).await
    }

    async fn commit_at(&mut self, changes: Vec<Change>, now_ms: i64) -> Vec<Outcome> {
        let Committed { outcomes, head } = self.writer.commit(changes, now_ms).await.unwrap();
        assert_eq!(self.log.find_head().await.unwrap(), head);
        self.head = head;
        outcomes
    }

    async fn commit(&mut self, changes: Vec<Change>) -> Vec<Outcome> {
        self.commit_at(changes, NOW_MS).await
    }

    async fn one(&mut self, change: Change) -> Outcome {
        self.commit(vec![change]).await.pop().unwrap()
    }

    async fn create(&mut self, name: &str) -> User {
        self.one(create(name)).await.unwrap().user
    }

    async fn records(&self) -> Vec<StoredRecord> {
        self.log.list_records(0, 1_000).await.unwrap().records
    }

    /// The bus has confirmed everything up to this record.
    async fn publish_through(&mut self, seq: i64) {
        let found = self.log.list_records(seq - 1, 1).await.unwrap().records;
        self.claim(Some(found[0].record.position)).await;
    }

    async fn claim(&mut self, confirmed: Option<Position>) -> Lease {
        let claim = LeaseClaim { confirmed, length: LEASE_LENGTH };
        self.writer.claim_lease(claim).await.unwrap()
    }

    async fn prune(&mut self, retention: Retention, now_ms: i64) -> Pruned {
        self.claim(None).await;
        self.writer.prune(retention, now_ms).await.unwrap()
    }
}

fn name(text: &str) -> Username {
    Username::parse(text).unwrap()
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_phc(format!("$argon2id${text}"))
}

fn create(username: &str) -> Change {
    create_with(username, None)
}

fn create_with(username: &str, key: Option<&str>) -> Change {
    let idempotency = key.map(|key| IdempotentRequest {
        scope: "POST /users",
        key: key.into(),
        fingerprint: username.into(),
    });
    Change::Create(CreateUser {
        username: name(username),
        password_hash: hash("first"),
        idempotency,
        traceparent: Some("00-trace-parent-01".into()),
    })
}

fn update(id: UserId, username: Option<&str>, verified: Option<i64>) -> UpdateUser {
    UpdateUser {
        id,
        username: username.map(name),
        password: verified.map(|version| NewPassword {
            hash: hash("second"),
            permit: PasswordPermit::KnowsVersion(version),
        }),
        precondition: Precondition::None,
        traceparent: None,
    }
}

fn rename(id: UserId, username: &str) -> Change {
    Change::Update(update(id, Some(username), None))
}

fn new_password(id: UserId, verified: i64) -> Change {
    Change::Update(update(id, None, Some(verified)))
}

fn delete(id: UserId) -> Change {
    let precondition = Precondition::None;
    Change::Delete(DeleteUser { id, precondition, traceparent: None })
}

/// What the record states, without who wrote it.
fn state_of(record: &StoredRecord) -> UserChange {
    let change: UserChange = serde_json::from_str(&record.record.data).unwrap();
    assert!(change.written_by.is_some(), "{}", record.record.data);
    UserChange { written_by: None, ..change }
}

pub(super) async fn an_id_is_never_used_again_not_even_after_a_restart(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let first = db.create("anna").await;
    db.one(delete(first.id)).await.unwrap();
    assert_eq!(db.create("anna").await.id, UserId(2));
    db.one(delete(UserId(2))).await.unwrap();
    let mut db = db.reopen(engine).await;
    assert_eq!(db.create("anna").await.id, UserId(3));
}

pub(super) async fn a_taken_name_costs_no_id_and_is_refused_alone(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let outcomes = db.commit(vec![create("Anna"), create("aNNA"), create("bert")]).await;
    let [Ok(_), Err(ChangeError::NameTaken), Ok(bert)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!((bert.user.id, bert.position.seq), (UserId(2), 2));
    assert_eq!(db.records().await.len(), 2);
}

pub(super) async fn a_change_that_fails_is_undone_alone(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    engine.fail_to_record("mallory");
    let changes =
        vec![create("bert"), create("mallory"), rename(anna.id, "mallory"), create("carl")];
    let outcomes = db.commit(changes).await;
    let failed =
        |outcome: &Outcome| matches!(outcome, Err(ChangeError::Store(StoreError::Failed(_))));
    assert!(outcomes[0].is_ok() && outcomes[3].is_ok(), "{outcomes:?}");
    assert!(failed(&outcomes[1]) && failed(&outcomes[2]), "{outcomes:?}");
    let users = db.reader.list_users(0, 10).await.unwrap();
    let names: Vec<&str> = users.iter().map(|user| user.username.as_str()).collect();
    assert_eq!(names, ["anna", "bert", "carl"]);
    assert_eq!(users[0], anna);
    assert_eq!(db.head.position.seq, 3);
    assert_eq!(db.head.checksum, Some(sum(&users)));
}

pub(super) async fn records_are_dense_and_each_has_the_hash_of_the_one_before(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await.id;
    let changes = vec![create("ANNA"), rename(anna, "bert"), delete(UserId(9)), delete(anna)];
    db.commit(changes).await;
    let records = db.records().await;
    let mut position = Position::default();
    for StoredRecord { record, .. } in &records {
        assert!(follows(position, record), "{record:?}");
        assert_eq!(record.recorded_at_ms, NOW_MS);
        position = record.position;
    }
    assert_eq!((records.len(), position), (3, db.head.position));
    let kinds = records.iter().map(|stored| stored.record.kind.clone());
    let expected = [EventKind::CREATED, EventKind::UPDATED, EventKind::DELETED];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    assert_eq!(records[0].record.traceparent.as_deref(), Some("00-trace-parent-01"));
    let later = db.log.list_records(1, 1).await.unwrap().records;
    assert_eq!(later[0].record, records[1].record, "from any place, with the hash before it");
    let hashes = [0, 1, 3, 4].map(|seq| db.log.find_record_hash(seq));
    let mut found = Vec::new();
    for hash in hashes {
        found.push(hash.await.unwrap());
    }
    let known = |n: usize| Some(records[n].record.position.hash);
    assert_eq!(found, [Some(Position::default().hash), known(0), known(2), None]);
}

pub(super) async fn a_record_states_what_is_left_and_holds_no_hash(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let anna = db.create("Anna").await;
    let Written { user, .. } =
        db.one(Change::Update(update(anna.id, Some("Bert"), Some(1)))).await.unwrap();
    assert_eq!((user.username_key.as_str(), user.version, user.password_version), ("bert", 2, 2));
    db.one(delete(anna.id)).await.unwrap();
    let records = db.records().await;
    assert_eq!(state_of(&records[0]), anna.left_with_new_stamp());
    assert_eq!(state_of(&records[1]), user.left_with_new_stamp());
    assert_eq!(state_of(&records[2]), anna.gone());
    for StoredRecord { record, .. } in &records {
        assert!(!record.data.contains("argon2id"), "{}", record.data);
    }
}

pub(super) async fn a_record_comes_with_the_hash_of_its_password_while_that_is_the_present_one(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let [anna, bert] = [db.create("anna").await.id, db.create("bert").await.id];
    db.commit(vec![rename(anna, "Anna"), new_password(anna, 1), rename(anna, "ANNA")]).await;
    db.one(delete(bert)).await.unwrap();
    let passwords: Vec<Option<(UserId, i64, PasswordHash)>> = db
        .records()
        .await
        .into_iter()
        .map(|stored| stored.password)
        .map(|password| password.map(|known| (known.id, known.password_version, known.hash)))
        .collect();
    let present = Some((anna, 2, hash("second")));
    assert_eq!(passwords, [None, None, None, present.clone(), present, None]);
}

pub(super) async fn a_record_of_an_unknown_kind_is_read(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    engine.rename_last_kind("user.locked.v9");
    let records = db.records().await;
    assert_eq!(records[0].record.kind.as_str(), "user.locked.v9");
    assert_eq!(state_of(&records[0]), anna.left_with_new_stamp());
    assert!(records[0].password.is_some());
    db.create("bert").await;
    assert_eq!(db.records().await.len(), 2, "the log goes on behind it");
}

pub(super) async fn a_repeated_request_gets_the_first_answer_and_changes_nothing(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let first = db.one(create_with("anna", Some("k"))).await.unwrap();
    let again =
        db.commit(vec![create_with("anna", Some("k")), create_with("bert", Some("k"))]).await;
    let [Ok(repeated), Err(ChangeError::KeyReused)] = &again[..] else { panic!("{again:?}") };
    assert_eq!(repeated, &first);
    assert_eq!(db.records().await.len(), 1);
    let Change::Create(CreateUser { idempotency: Some(request), .. }) =
        create_with("anna", Some("k"))
    else {
        panic!("it has a key")
    };
    let found = db.reader.find_response(&request, NOW_MS).await.unwrap();
    assert_eq!(found, Some(first));
    let other = IdempotentRequest { fingerprint: "other".into(), ..request.clone() };
    let refused = db.reader.find_response(&other, NOW_MS).await;
    assert!(matches!(refused, Err(ChangeError::KeyReused)), "{refused:?}");
    let expired = db.reader.find_response(&request, NOW_MS + RETENTION_MS).await.unwrap();
    assert_eq!(expired, None);
    let renewed = db.commit_at(vec![create_with("carl", Some("k"))], NOW_MS + RETENTION_MS).await;
    assert!(renewed[0].is_ok(), "{renewed:?}");
}

pub(super) async fn that_a_name_was_taken_is_remembered_too(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    let taken = db.one(create_with("anna", Some("k"))).await;
    db.one(delete(anna.id)).await.unwrap();
    let again = db.one(create_with("anna", Some("k"))).await;
    for outcome in [taken, again] {
        assert!(matches!(outcome, Err(ChangeError::NameTaken)), "{outcome:?}");
    }
}

pub(super) async fn a_precondition_is_evaluated_on_what_the_change_before_it_left(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    let has_first_tag = || {
        let tag = Tag { opaque: anna.tag(), is_weak: false };
        Precondition::IfMatch(Tags::List(vec![tag]))
    };
    let renamed =
        UpdateUser { precondition: has_first_tag(), ..update(anna.id, Some("bert"), None) };
    let deleted = DeleteUser { id: anna.id, precondition: has_first_tag(), traceparent: None };
    let outcomes = db.commit(vec![Change::Update(renamed), Change::Delete(deleted)]).await;
    let [Ok(_), Err(ChangeError::PreconditionFailed)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(db.reader.find_user(anna.id).await.unwrap().unwrap().username, "bert");
    let absent = DeleteUser { id: UserId(9), precondition: has_first_tag(), traceparent: None };
    let absent = db.one(Change::Delete(absent)).await;
    assert!(matches!(absent, Err(ChangeError::NoSuchUser)), "{absent:?}");
}

pub(super) async fn an_update_that_changes_nothing_leaves_no_record(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let first = db.one(create("anna")).await.unwrap();
    assert_eq!(db.one(rename(first.user.id, "anna")).await.unwrap(), first);
    assert_eq!(db.records().await.len(), 1);
}

pub(super) async fn a_name_and_a_password_change_together_or_not_at_all(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    let both = |verified| Change::Update(update(anna.id, Some("bert"), Some(verified)));
    let refused = db.one(both(7)).await;
    assert!(matches!(refused, Err(ChangeError::PasswordChanged)), "{refused:?}");
    assert_eq!(db.reader.find_user(anna.id).await.unwrap(), Some(anna.clone()));
    db.create("bert").await;
    let taken = db.one(both(1)).await;
    assert!(matches!(taken, Err(ChangeError::NameTaken)), "{taken:?}");
    let credentials = db.reader.find_credentials(anna.id).await.unwrap().unwrap();
    assert_eq!((credentials.user, credentials.password_hash), (anna.clone(), hash("first")));
    let both = Change::Update(update(anna.id, Some("carl"), Some(1)));
    let written = db.one(both).await.unwrap();
    assert_eq!((written.user.version, written.user.password_version), (2, 2));
    let credentials = db.reader.find_credentials(anna.id).await.unwrap().unwrap();
    assert_eq!(credentials.password_hash, hash("second"));
}

pub(super) async fn of_two_changes_of_a_password_with_the_same_current_one_only_one_is_made(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await.id;
    let outcomes = db.commit(vec![new_password(anna, 1), new_password(anna, 1)]).await;
    let [Ok(_), Err(ChangeError::PasswordChanged)] = &outcomes[..] else { panic!("{outcomes:?}") };
}

pub(super) async fn a_name_is_unique_without_regard_to_case_and_free_when_its_user_has_another(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let [anna, bert] = [db.create("anna").await.id, db.create("bert").await.id];
    let own = db.one(rename(anna, "ANNA")).await.unwrap().user;
    assert_eq!(
        (own.username.as_str(), own.username_key.as_str(), own.version),
        ("ANNA", "anna", 2)
    );
    let outcomes =
        db.commit(vec![rename(bert, "Anna"), rename(anna, "carl"), rename(bert, "Anna")]).await;
    let [Err(ChangeError::NameTaken), Ok(_), Ok(_)] = &outcomes[..] else { panic!("{outcomes:?}") };
    let nobody = db.one(rename(UserId(99), "x")).await;
    assert!(matches!(nobody, Err(ChangeError::NoSuchUser)), "{nobody:?}");
}

pub(super) async fn a_new_hash_is_stored_for_the_present_password_alone(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    let replace = |password_version| {
        Change::ReplaceHash(ReplaceHash {
            id: anna.id,
            password_version,
            stamp: None,
            replaces: None,
            password_hash: hash("again"),
        })
    };
    let outcomes = db.commit(vec![replace(2), rename(anna.id, "bert"), replace(1)]).await;
    let [Err(ChangeError::PasswordChanged), Ok(renamed), Ok(replaced)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(replaced.user, renamed.user, "it does not count as a change");
    let last = db.records().await.pop().unwrap();
    assert_eq!(last.password.as_ref().map(|known| &known.hash), Some(&hash("again")));
    assert_eq!(state_of(&last), renamed.user.left());
    let newer = |old: &PasswordHash| {
        Change::ReplaceHash(ReplaceHash {
            id: anna.id,
            password_version: 1,
            stamp: None,
            replaces: Some(old.name()),
            password_hash: hash("newer"),
        })
    };
    // Messages may come again, and late.
    let outcomes =
        db.commit(vec![replace(1), newer(&hash("again")), newer(&hash("again")), replace(1)]).await;
    let [Err(_), Ok(_), Err(ChangeError::PasswordChanged), Ok(_)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    db.one(delete(anna.id)).await.unwrap();
    let nobody = db.one(replace(1)).await;
    assert!(matches!(nobody, Err(ChangeError::NoSuchUser)), "{nobody:?}");
}

const WEEK: Retention = Retention { age_ms: 7 * DAY_MS, rows: 0 };

pub(super) async fn what_is_old_and_published_is_pruned_and_the_log_goes_on(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    db.commit(vec![create("anna"), create("bert")]).await;
    let places = db.records().await;
    db.publish_through(2).await;
    db.prune(WEEK, NOW_MS).await;
    db.commit_at(vec![create("carl")], NOW_MS + DAY_MS).await;
    db.publish_through(3).await;
    db.prune(WEEK, NOW_MS + DAY_MS).await;
    assert_eq!(db.prune(WEEK, NOW_MS + 7 * DAY_MS - 1).await.records, 0, "too young");
    let pruned = db.prune(WEEK, NOW_MS + 7 * DAY_MS).await;
    assert_eq!((pruned.records, pruned.log_start_seq, pruned.has_more), (2, 2, false));
    assert!(db.records().await.is_empty(), "the log does not begin at 1 any more");
    assert_eq!(db.log.find_record_hash(1).await.unwrap(), None);
    let hash_there = db.log.find_record_hash(2).await.unwrap();
    assert_eq!(hash_there, Some(places[1].record.position.hash), "a follower goes on from there");
    let rest = db.log.list_records(2, 10).await.unwrap().records;
    assert!(follows(places[1].record.position, &rest[0].record), "{rest:?}");
    // All of the log is pruned, and the next record is appended all the same.
    let before = db.head.position;
    assert_eq!(db.prune(WEEK, NOW_MS + 9 * DAY_MS).await.records, 1);
    let mut db = db.reopen(engine).await;
    assert_eq!(db.head.position, before);
    db.create("dora").await;
    let rest = db.log.list_records(3, 10).await.unwrap().records;
    assert!(follows(before, &rest[0].record), "{rest:?}");
}

pub(super) async fn what_is_not_published_or_among_the_newest_rows_stays(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    db.commit(["a", "b", "c", "d", "e"].map(create).into()).await;
    let at_once = |rows| Retention { age_ms: 0, rows };
    assert_eq!(db.prune(at_once(0), NOW_MS).await.records, 0, "nothing is published");
    db.publish_through(3).await;
    assert_eq!(db.prune(at_once(5), NOW_MS).await.records, 0);
    assert_eq!(db.prune(at_once(4), NOW_MS).await.records, 1);
    assert_eq!(db.prune(at_once(0), NOW_MS).await.records, 2);
    db.publish_through(5).await;
    assert_eq!(db.prune(at_once(0), NOW_MS).await.records, 2);
}

pub(super) async fn a_clock_that_was_wrong_does_not_stop_pruning(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let far = NOW_MS + 40_000 * DAY_MS;
    db.commit_at(vec![create("anna"), create("bert")], far).await;
    db.publish_through(2).await;
    db.prune(WEEK, far).await;
    // The clock is right again.
    db.prune(WEEK, NOW_MS).await;
    assert_eq!(db.prune(WEEK, NOW_MS + 6 * DAY_MS).await.records, 0);
    assert_eq!(db.prune(WEEK, NOW_MS + 7 * DAY_MS).await.records, 2);
}

pub(super) async fn expired_responses_are_pruned(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    db.commit(vec![create_with("anna", Some("a")), create_with("bert", Some("b"))]).await;
    assert_eq!(db.prune(WEEK, NOW_MS + RETENTION_MS - 1).await.responses, 0);
    let pruned = db.prune(WEEK, NOW_MS + RETENTION_MS).await;
    assert_eq!((pruned.responses, pruned.has_more), (2, false));
}

pub(super) async fn a_snapshot_stays_at_its_place_while_others_write(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let anna = db.commit(["anna", "bert", "carl"].map(create).into()).await.remove(0).unwrap();
    let reading = db.store.open_log_reader().await.unwrap();
    let mut snapshot = reading.snapshot().await.unwrap();
    let before = db.head;
    db.commit(vec![delete(anna.user.id), create("later")]).await;
    assert_eq!((snapshot.head(), snapshot.count()), (before, 3));
    let first = snapshot.list_credentials(0, 2).await.unwrap();
    let rest = snapshot.list_credentials(2, 2).await.unwrap();
    let users: Vec<User> = first.into_iter().chain(rest).map(|found| found.user).collect();
    let names: Vec<&str> = users.iter().map(|user| user.username.as_str()).collect();
    assert_eq!(names, ["anna", "bert", "carl"]);
    assert_eq!(before.checksum, Some(sum(&users)));
    drop(snapshot);
    assert_eq!(reading.snapshot().await.unwrap().head(), db.head);
}

pub(super) async fn the_published_place_is_kept_and_never_goes_back(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let lease = db.claim(None).await;
    assert_eq!((lease.is_ours, lease.published), (true, 0));
    db.commit(["a", "b", "c"].map(create).into()).await;
    let places: Vec<Position> =
        db.records().await.into_iter().map(|stored| stored.record.position).collect();
    for (confirmed, expected) in [(places[1], 2), (places[0], 2), (places[2], 3)] {
        assert_eq!(db.claim(Some(confirmed)).await.published, expected);
    }
    db.writer.probe().await.unwrap();
    let mut db = db.reopen(engine).await;
    let claim = LeaseClaim { confirmed: None, length: LEASE_LENGTH };
    assert_eq!(db.writer.claim_lease(claim).await.unwrap().published, 3);
}

pub(super) async fn a_confirmed_place_that_the_log_does_not_have_is_not_recorded(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    db.commit(["a", "b"].map(create).into()).await;
    db.publish_through(1).await;
    let place = db.head.position;
    let elsewhere = Position { seq: place.seq, hash: RecordHash([7; 16]) };
    let beyond = Position { seq: place.seq + 1, hash: place.hash };
    for lost in [elsewhere, beyond] {
        assert_eq!(db.claim(Some(lost)).await.published, 1, "what is there now was not published");
    }
}

pub(super) async fn the_checksum_is_that_of_the_users_after_every_change(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let [anna, bert] = [db.create("anna").await.id, db.create("bert").await.id];
    for change in [
        rename(bert, "ANNA"),
        rename(anna, "Anna"),
        new_password(anna, 1),
        delete(bert),
        create("carl"),
    ] {
        // One of them is refused.
        let _ = db.one(change).await;
        let users = db.reader.list_users(0, 10).await.unwrap();
        assert_eq!(db.head.checksum, Some(sum(&users)), "{users:?}");
    }
}

fn sum(users: &[User]) -> UsersChecksum {
    let each = users.iter().map(|user| user_checksum(user.id, user.version, &user.username));
    each.fold(UsersChecksum::default(), UsersChecksum::plus)
}

pub(super) async fn a_restart_keeps_everything_and_begins_a_new_incarnation(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    let (before, records) = (db.head, db.records().await);
    let db = db.reopen(engine).await;
    assert_eq!((db.head.position, db.head.checksum), (before.position, before.checksum));
    assert_ne!(db.head.incarnation, before.incarnation);
    assert_eq!(db.log.find_head().await.unwrap(), db.head, "readers see the new one");
    assert_eq!(db.reader.find_user(anna.id).await.unwrap(), Some(anna));
    let after = db.records().await;
    assert_eq!(after[0].record, records[0].record);
}

pub(super) async fn users_are_found_by_id_and_name_and_listed_in_pages(engine: &impl Engine) {
    let mut db = Db::open(engine).await;
    db.commit(["anna", "bert", "carl"].map(create).into()).await;
    let found = db.reader.find_user_by_key("bert").await.unwrap().unwrap();
    assert_eq!((found.id, found.username.as_str()), (UserId(2), "bert"));
    assert_eq!(db.reader.find_user(UserId(2)).await.unwrap(), Some(found));
    assert_eq!(db.reader.find_user(UserId(4)).await.unwrap(), None);
    assert_eq!(db.reader.find_credentials(UserId(4)).await.unwrap(), None);
    let page = async |after, limit| -> Vec<i64> {
        let users = db.reader.list_users(after, limit).await.unwrap();
        users.iter().map(|user| user.id.0).collect()
    };
    assert_eq!(
        (page(0, 2).await, page(1, 5).await, page(3, 5).await),
        (vec![1, 2], vec![2, 3], vec![])
    );
}

pub(super) async fn a_key_by_older_rules_is_renewed_with_a_record_unless_another_user_has_it(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let (anna, dora) = (db.create("Anna").await, db.create("Dora").await);
    engine.compare_by_older_rules("Anna", "ANNA");
    engine.compare_by_older_rules("Dora", "DORA");
    let second_dora = db.create("dora").await;
    let seq = db.head.position.seq;
    for _ in 0..2 {
        db = db.reopen(engine).await;
        let found = db.reader.find_user_by_key("anna").await.unwrap();
        assert_eq!(found.as_ref(), Some(&anna), "with the version and the positions that it had");
        assert_eq!(db.head.position.seq, seq + 1, "one record, at the first start alone");
        assert_eq!(db.log.find_head().await.unwrap(), db.head);
        assert_eq!(state_of(&db.records().await.pop().unwrap()), anna.left());
        let by_old_key = db.reader.find_user_by_key("DORA").await.unwrap().unwrap();
        assert_eq!(by_old_key.id, dora.id);
        assert_eq!(db.reader.find_user_by_key("dora").await.unwrap(), Some(second_dora.clone()));
    }
}
