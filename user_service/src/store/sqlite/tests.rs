use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::{EventKind, Position, RecordHash, UserChange, UserId};
use rusqlite::{Connection, params};
use shared::hashing::PasswordHash;
use shared::idempotency::IdempotentRequest;
use shared::identity::Username;
use shared::log_sync::{follows, record_hash};
use tempfile::TempDir;

use super::super::conformance::{Engine, passes_conformance};
use super::super::{Change, ChangeError, CreateUser, Store, in_file};
use super::*;

struct SqliteEngine {
    directory: TempDir,
}

impl SqliteEngine {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("users.db")
    }

    fn run(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }
}

impl Engine for SqliteEngine {
    fn store(&self) -> Arc<dyn Store> {
        in_file(self.path())
    }

    fn fail_to_record(&self, username: &str) {
        self.run(&format!(
            "CREATE TRIGGER fail BEFORE INSERT ON user_log
             WHEN NEW.data ->> '$.user.username' = '{username}'
             BEGIN SELECT RAISE(ABORT, 'as the test wants it'); END"
        ));
    }

    fn compare_by_older_rules(&self, username: &str, key: &str) {
        self.run(&format!(
            "UPDATE users SET username_key = '{key}' WHERE username = '{username}';
             DELETE FROM name_rules"
        ));
    }

    fn keep_copy(&self) {
        std::fs::copy(self.path(), self.directory.path().join("copy.db")).unwrap();
    }

    fn put_copy_back(&self) {
        std::fs::copy(self.directory.path().join("copy.db"), self.path()).unwrap();
    }

    fn rename_last_kind(&self, kind: &str) {
        self.run(&format!(
            "UPDATE user_log SET kind = '{kind}' WHERE seq = (SELECT max(seq) FROM user_log)"
        ));
    }
}

passes_conformance!(SqliteEngine::new());

/// Users and a log as the version before migration 0003 left them, published up to the second
/// record.
fn former_database(path: &Path) {
    let mut connection = Connection::open(path).unwrap();
    migrations::all().to_version(&mut connection, 3).unwrap();
    let data = |id: i64, name: &str, version: i64, hash: Option<&str>| {
        serde_json::json!({"id": id, "username": name, "version": version,
                           "password_version": 1, "password_hash": hash})
        .to_string()
    };
    let sealed = Some("v1.key.sealed");
    let mut chain = RecordHash::default();
    for (seq, kind, data) in [
        (1, "user.created.v1", data(1, "Anna", 1, sealed)),
        (2, "user.created.v1", data(2, "bert", 1, sealed)),
        (3, "user.updated.v1", data(2, "Bert", 2, sealed)),
        (4, "user.created.v1", data(3, "carl", 1, sealed)),
        (5, "user.deleted.v1", data(1, "Anna", 2, None)),
    ] {
        let kind = EventKind::parse(kind).unwrap();
        chain = record_hash(chain, seq, &kind, 5, &data);
        connection
            .execute(
                "INSERT INTO user_log VALUES (?1, ?2, 5, ?3, 'trace', ?4)",
                params![seq, chain.0, kind.as_str(), data],
            )
            .unwrap();
    }
    connection
        .execute_batch(
            "INSERT INTO users VALUES (2, 'Bert', 'bert', '$argon2id$b', 2, 1),
                                      (3, 'carl', 'carl', '$argon2id$c', 1, 1);
             UPDATE published SET seq = 2;
             INSERT INTO users_digest VALUES (1, zeroblob(16));
             DELETE FROM users_digest;",
        )
        .unwrap();
}

#[actix::test]
async fn of_a_log_with_sealed_hashes_what_is_published_goes_and_the_rest_is_stated_anew() {
    let engine = SqliteEngine::new();
    former_database(&engine.path());
    let before: [u8; 16] = Connection::open(engine.path())
        .unwrap()
        .query_row("SELECT chain FROM user_log WHERE seq = 2", [], |row| row.get(0))
        .unwrap();
    let store = engine.store();
    let Opened { mut writer, head, .. } = store.open_writer(5).await.unwrap();
    let log = store.open_log_reader().await.unwrap();
    assert_eq!(log.find_record_hash(2).await.unwrap(), Some(RecordHash(before)));
    assert!(log.list_records(0, 10).await.unwrap().records.is_empty());
    let records = log.list_records(2, 10).await.unwrap().records;
    let mut position = Position { seq: 2, hash: RecordHash(before) };
    for stored in &records {
        assert!(follows(position, &stored.record), "{:?}", stored.record);
        assert!(!stored.record.data.contains("sealed"), "{}", stored.record.data);
        position = stored.record.position;
    }
    assert_eq!((records.len(), position), (3, head.position));
    let left = |n: usize| -> UserChange { serde_json::from_str(&records[n].record.data).unwrap() };
    let bert = left(0).user.unwrap();
    assert_eq!(
        (bert.username.as_str(), bert.username_key.as_str(), bert.version),
        ("Bert", "bert", 2)
    );
    assert_eq!(left(2), UserChange { id: UserId(1), user: None, written_by: None });
    assert_eq!(records[0].record.traceparent.as_deref(), Some("trace"));
    assert!(records[1].password.is_some(), "it can be sealed as it is sent");
    writer.probe().await.unwrap();
    let users = store.open_reader().await.unwrap().list_users(0, 10).await.unwrap();
    assert_eq!(users.len(), 2);
}

#[actix::test]
async fn a_log_of_which_all_is_published_begins_where_it_ended() {
    let engine = SqliteEngine::new();
    former_database(&engine.path());
    engine.run("UPDATE published SET seq = 5");
    let store = engine.store();
    let Opened { head, .. } = store.open_writer(5).await.unwrap();
    assert_eq!(head.position.seq, 5);
    let log = store.open_log_reader().await.unwrap();
    assert_eq!(log.find_record_hash(5).await.unwrap(), Some(head.position.hash));
    assert_eq!(log.find_record_hash(4).await.unwrap(), None);
}

#[actix::test]
async fn rows_from_before_get_the_positions_of_their_records_or_ones_that_no_record_has() {
    let engine = SqliteEngine::new();
    former_database(&engine.path());
    engine.run(
        "INSERT INTO users VALUES (4, 'dora', 'dora', '$argon2id$d', 3, 2);
         INSERT INTO idempotency_keys VALUES
             ('POST /users', 'there', 'f', '{\"created\":{\"id\":3,\"username\":\"carl\",\"seq\":4}}', 99),
             ('POST /users', 'gone', 'f', '{\"created\":{\"id\":2,\"username\":\"bert\",\"seq\":2}}', 99),
             ('POST /users', 'taken', 'f', '\"name_taken\"', 99)",
    );
    engine.keep_copy();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let store = engine.store();
        let Opened { writer, head, .. } = store.open_writer(5).await.unwrap();
        let reader = store.open_reader().await.unwrap();
        let log = store.open_log_reader().await.unwrap();
        let records = log.list_records(2, 10).await.unwrap().records;
        let place = |n: usize| records[n].record.position;
        let users = reader.list_users(0, 10).await.unwrap();
        let [bert, carl, dora] = &users[..] else { panic!("{users:?}") };
        assert_eq!((bert.changed, carl.changed, carl.stamp), (place(0), place(1), place(1)));
        assert_eq!(dora.changed.seq, head.position.seq, "its record is gone");
        assert!(![dora.stamp, head.position].contains(&dora.changed));
        let response = async |key: &str| {
            let (scope, key, fingerprint) = ("POST /users", key.into(), "f".into());
            let request = IdempotentRequest { scope, key, fingerprint };
            reader.find_response(&request, 5).await.map(|found| found.unwrap().position)
        };
        assert_eq!(response("there").await.unwrap(), place(1));
        let start = Position { seq: 2, hash: log.find_record_hash(2).await.unwrap().unwrap() };
        assert_eq!(response("gone").await.unwrap(), start, "the log still knows where it begins");
        assert!(matches!(response("taken").await, Err(ChangeError::NameTaken)));
        seen.push(users);
        drop((reader, log));
        writer.close().await.unwrap();
        engine.put_copy_back();
    }
    assert_eq!(seen[0], seen[1], "a copy that is migrated again gives the same ones");
}

#[actix::test]
async fn a_checksum_that_is_absent_is_computed_from_the_users() {
    let engine = SqliteEngine::new();
    former_database(&engine.path());
    let Opened { head, writer, .. } = engine.store().open_writer(5).await.unwrap();
    writer.close().await.unwrap();
    engine.run("DELETE FROM users_checksum");
    let again = engine.store().open_writer(5).await.unwrap().head;
    assert_eq!(head.checksum, again.checksum);
    assert_ne!(head.checksum, Some(contract::UsersChecksum::default()));
}

#[actix::test]
async fn what_was_written_is_in_the_databases_own_file_when_it_is_closed() {
    let engine = SqliteEngine::new();
    former_database(&engine.path());
    let store = engine.store();
    let Opened { writer, head, .. } = store.open_writer(5).await.unwrap();
    writer.close().await.unwrap();
    let copy = engine.directory.path().join("copy.db");
    std::fs::copy(engine.path(), &copy).unwrap();
    let log = in_file(copy).open_log_reader().await.unwrap();
    assert_eq!(log.find_head().await.unwrap(), head);
}

#[actix::test]
async fn a_database_of_a_newer_version_is_refused_and_that_is_no_full_disk() {
    let engine = SqliteEngine::new();
    engine.run("PRAGMA user_version = 99");
    let refused = engine.store().open_writer(5).await.err().unwrap();
    assert!(matches!(refused, StoreError::Failed(_)), "{refused}");
}

/// Opens it, writes a user, and closes it; returns how often the log says that it went back.
async fn rewinds_after_a_start(engine: &SqliteEngine, name: &str) -> usize {
    let Opened { mut writer, .. } = engine.store().open_writer(5).await.unwrap();
    let create = CreateUser {
        username: Username::parse(name).unwrap(),
        password_hash: PasswordHash::from_phc("$argon2id$hash"),
        idempotency: None,
        traceparent: None,
    };
    writer.commit(vec![Change::Create(create)], 5).await.unwrap();
    let log = engine.store().open_log_reader().await.unwrap();
    let records = log.list_records(0, 100).await.unwrap().records;
    drop(log);
    writer.close().await.unwrap();
    records.iter().filter(|stored| stored.record.kind == EventKind::REWOUND).count()
}

/// Does something to the files of a closed database, and expects it to be recognised, once.
async fn expect_rewound_after(tamper: impl FnOnce(&Path)) {
    let engine = SqliteEngine::new();
    assert_eq!(rewinds_after_a_start(&engine, "anna").await, 0);
    assert_eq!(rewinds_after_a_start(&engine, "bert").await, 0);
    tamper(engine.directory.path());
    assert_eq!(rewinds_after_a_start(&engine, "carl").await, 1);
    assert_eq!(rewinds_after_a_start(&engine, "dora").await, 1, "once");
}

#[actix::test]
async fn whatever_was_put_back_is_recognised_once() {
    let path = |data: &Path, name: &str| data.join(name);
    expect_rewound_after(|data| {
        // As `tar` and `cp` into an empty directory do: the same content in another file.
        std::fs::copy(path(data, "users.db"), path(data, "copy")).unwrap();
        std::fs::rename(path(data, "copy"), path(data, "users.db")).unwrap();
    })
    .await;
    expect_rewound_after(|data| std::fs::remove_file(path(data, "users.db")).unwrap()).await;
    expect_rewound_after(|data| std::fs::write(path(data, "users.db"), "").unwrap()).await;
    expect_rewound_after(|data| std::fs::remove_file(path(data, "users.mark")).unwrap()).await;
    expect_rewound_after(|data| std::fs::write(path(data, "users.mark"), "{").unwrap()).await;
    expect_rewound_after(|data| std::fs::write(path(data, "restored"), "").unwrap()).await;
}

#[actix::test]
async fn copies_over_all_files_in_place_are_recognised() {
    let engine = SqliteEngine::new();
    assert_eq!(rewinds_after_a_start(&engine, "anna").await, 0);
    let copies = tempfile::tempdir().unwrap();
    let all = ["users.db", "users.mark"]
        .map(|name| (engine.directory.path().join(name), copies.path().join(name)));
    let copy = |from: &Path, to: &Path| std::fs::copy(from, to).unwrap();
    for (file, kept) in &all {
        copy(file, kept);
    }
    assert_eq!(rewinds_after_a_start(&engine, "bert").await, 0);
    for (file, kept) in &all {
        copy(kept, file);
    }
    assert_eq!(rewinds_after_a_start(&engine, "bert").await, 1);
    assert_eq!(rewinds_after_a_start(&engine, "carl").await, 1, "once");
}
