#[cfg(test)]
mod moving;
#[cfg(test)]
mod places;
#[cfg(test)]
mod processes;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use contract::{UserChange, UserId};
use futures_util::future::join;
use shared::hashing::PasswordHash;
use shared::identity::Username;
use tempfile::TempDir;
use testkit::pgbouncer::PgBouncer;
use testkit::postgres::{PASSWORD, Postgres};
use testkit::tcp_proxy::TcpProxy;
use testkit::wait::{until, until_holds, within};

use super::super::conformance::{Engine, passes_conformance};
use super::super::{Change, ChangeError, CreateUser, Store, StoreError, at_url};

struct PostgresEngine {
    server: Postgres,
    data_dir: TempDir,
}

impl PostgresEngine {
    async fn start() -> Self {
        Self { server: Postgres::start().await, data_dir: tempfile::tempdir().unwrap() }
    }
}

impl Engine for PostgresEngine {
    fn store(&self) -> Arc<dyn Store> {
        at_url(&self.server.url().into(), None, self.data_dir.path()).unwrap()
    }

    fn fail_to_record(&self, username: &str) {
        self.server.sql(&format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN RAISE 'as the test wants it'; END $$;
             CREATE TRIGGER fail BEFORE INSERT ON user_log FOR EACH ROW
                 WHEN (NEW.data::json -> 'user' ->> 'username' = '{username}')
                 EXECUTE FUNCTION fail()"
        ));
    }

    fn compare_by_older_rules(&self, username: &str, key: &str) {
        self.server.sql(&format!(
            "UPDATE users SET username_key = '{key}' WHERE username = '{username}';
             UPDATE log_state SET name_rules = ''"
        ));
    }

    fn keep_copy(&self) {
        self.server.copy_database("lockstep", "copy");
    }

    fn put_copy_back(&self) {
        self.server.copy_database("copy", "lockstep");
    }

    fn rename_last_kind(&self, kind: &str) {
        self.server.sql(&format!(
            "UPDATE user_log SET kind = '{kind}' WHERE seq = (SELECT max(seq) FROM user_log)"
        ));
    }
}

passes_conformance!(PostgresEngine::start().await);

fn create(name: &str) -> Change {
    Change::Create(CreateUser {
        username: Username::parse(name).unwrap(),
        password_hash: PasswordHash::from_phc("$argon2id$hash"),
        idempotency: None,
        traceparent: None,
    })
}

async fn refusal(engine: &PostgresEngine) -> String {
    let refused = engine.store().open_writer(5).await.err().unwrap();
    assert!(matches!(refused, StoreError::Failed(_)), "{refused:?}");
    format!("{refused}: {}", refused.cause())
}

#[actix::test]
async fn of_two_that_start_at_once_each_finds_the_tables_made() {
    let engine = PostgresEngine::start().await;
    let (first, second) = (engine.store(), engine.store());
    let (first, second) = join(first.open_writer(5), second.open_writer(5)).await;
    let (mut first, mut second) = (first.unwrap().writer, second.unwrap().writer);
    let one = first.commit(vec![create("anna")], 5).await.unwrap();
    let two = second.commit(vec![create("ANNA"), create("bert")], 5).await.unwrap();
    assert_eq!(one.outcomes[0].as_ref().unwrap().user.id, UserId(1));
    let [Err(ChangeError::NameTaken), Ok(bert)] = &two.outcomes[..] else { panic!("{two:?}") };
    assert_eq!((bert.user.id, bert.position.seq), (UserId(2), 2), "each sees the other's changes");
}

#[actix::test]
async fn a_database_that_is_not_ours_to_use_is_refused_with_the_reason() {
    let engine = PostgresEngine::start().await;
    engine.server.sql("CREATE TABLE orders (id integer)");
    let told = refusal(&engine).await;
    assert!(told.contains("another application, which has a table orders"), "{told}");
    engine.server.sql("DROP TABLE orders");
    drop(engine.store().open_writer(5).await.unwrap());
    engine.server.sql("UPDATE lockstep_schema SET version = 99");
    let told = refusal(&engine).await;
    assert!(told.contains("newer version") && told.contains("99"), "{told}");
    assert!(!told.contains(PASSWORD), "{told}");
}

#[actix::test]
async fn a_role_without_rights_can_use_tables_and_not_make_them() {
    let engine = PostgresEngine::start().await;
    engine.server.sql_as_superuser("ALTER DATABASE lockstep OWNER TO root");
    let told = refusal(&engine).await;
    assert!(told.contains("may not create tables"), "{told}");
    engine.server.sql_as_superuser("ALTER DATABASE lockstep OWNER TO lockstep");
    drop(engine.store().open_writer(5).await.unwrap());
    engine.server.sql_as_superuser("ALTER DATABASE lockstep OWNER TO root");
    assert!(engine.store().open_writer(5).await.is_ok());
}

#[actix::test]
async fn a_wrong_password_ends_the_start_and_is_not_told() {
    let engine = PostgresEngine::start().await;
    let url = engine.server.url().replace(PASSWORD, "a-wrong-canary");
    let store = at_url(&url.into(), None, engine.data_dir.path()).unwrap();
    let refused = store.open_writer(5).await.err().unwrap();
    assert!(matches!(refused, StoreError::Failed(_)), "{refused:?}");
    let told = format!("{refused:?} {}", refused.cause());
    assert!(told.contains("password authentication failed") && !told.contains("canary"), "{told}");
}

#[actix::test]
async fn what_was_answered_survives_crashes_of_the_server_and_nothing_is_made_twice() {
    let mut engine = PostgresEngine::start().await;
    let store = engine.store();
    let mut writer = store.open_writer(5).await.unwrap().writer;
    let reader = store.open_reader().await.unwrap();
    let log = store.open_log_reader().await.unwrap();
    for round in 0..3 {
        writer.commit(vec![create(&format!("user{round}"))], 5).await.unwrap();
        assert_eq!(reader.list_users(0, 10).await.unwrap().len(), round + 1);
        engine.server.kill().await;
        let refused = writer.commit(vec![create("nobody")], 5).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
        let refused = reader.list_users(0, 10).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable(_)));
        assert_eq!(store.trouble(), Some("the database cannot be reached"));
        engine.server.restart().await;
        writer.probe().await.unwrap();
        assert_eq!(store.trouble(), None);
        until("the reader has connected again", Duration::from_secs(5), async || {
            reader.list_users(0, 10).await.ok()
        })
        .await;
    }
    assert_eq!(log.list_records(0, 10).await.unwrap().records.len(), 3);
}

#[actix::test]
async fn a_server_that_is_read_only_is_full_and_reading_goes_on() {
    let engine = PostgresEngine::start().await;
    let store = engine.store();
    let mut writer = store.open_writer(5).await.unwrap().writer;
    writer.commit(vec![create("anna")], 5).await.unwrap();
    let read_only = |is: &str| {
        let sql = format!("ALTER ROLE lockstep SET default_transaction_read_only = {is}");
        engine.server.sql_as_superuser(&sql);
        engine.server.sql_as_superuser(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'lockstep'",
        );
    };
    read_only("on");
    let refused = writer.commit(vec![create("bert")], 5).await.unwrap_err();
    assert!(matches!(refused, StoreError::Full(_)), "{refused:?}");
    assert!(matches!(writer.probe().await, Err(StoreError::Full(_))));
    let reader = store.open_reader().await.unwrap();
    assert_eq!(reader.list_users(0, 10).await.unwrap().len(), 1);
    read_only("off");
    until("the database can be written again", Duration::from_secs(5), async || {
        writer.probe().await.ok()
    })
    .await;
    writer.commit(vec![create("bert")], 5).await.unwrap();
}

/// Makes the COMMIT of a change that creates `slow` take two seconds.
fn slow_down(engine: &PostgresEngine) {
    engine.server.sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.username = 'slow') EXECUTE FUNCTION slow()",
    );
}

async fn until_commit_is_in_progress(engine: &PostgresEngine) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'";
    until("COMMIT is in progress", Duration::from_secs(5), async || {
        (engine.server.sql(sql) == "1").then_some(())
    })
    .await;
}

async fn names_in_log(store: &Arc<dyn Store>) -> Vec<String> {
    let log = store.open_log_reader().await.unwrap();
    let records = log.list_records(0, 100).await.unwrap().records;
    let name = |data: &str| -> String {
        let change: UserChange = serde_json::from_str(data).unwrap();
        change.user.unwrap().username
    };
    records.iter().map(|stored| name(&stored.record.data)).collect()
}

#[actix::test]
async fn a_commit_that_was_made_and_not_answered_is_found_in_the_log() {
    let engine = PostgresEngine::start().await;
    let proxy = TcpProxy::start(engine.server.address()).await;
    let url = engine.server.url_through(proxy.port());
    let store = at_url(&url.into(), None, engine.data_dir.path()).unwrap();
    let mut writer = store.open_writer(5).await.unwrap().writer;
    slow_down(&engine);
    let cutting = async {
        until_commit_is_in_progress(&engine).await;
        proxy.half_open();
    };
    let (committed, ()) = join(writer.commit(vec![create("slow")], 5), cutting).await;
    let written = committed.unwrap().outcomes.remove(0).unwrap();
    assert_eq!((written.user.id, written.position.seq), (UserId(1), 1));
    assert_eq!(names_in_log(&engine.store()).await, ["slow"], "it was not made again");
    writer.commit(vec![create("next")], 5).await.unwrap();
    assert_eq!(names_in_log(&engine.store()).await, ["slow", "next"]);
}

#[actix::test]
async fn a_commit_that_was_neither_made_nor_answered_is_made_again_before_anybody_is_answered() {
    let mut engine = PostgresEngine::start().await;
    let store = engine.store();
    let mut writer = store.open_writer(5).await.unwrap().writer;
    slow_down(&engine);
    let crashing = async {
        until_commit_is_in_progress(&engine).await;
        engine.server.kill().await;
        engine.server.restart().await;
    };
    let (committed, ()) = join(writer.commit(vec![create("slow")], 5), crashing).await;
    assert_eq!(committed.unwrap().outcomes.remove(0).unwrap().user.id, UserId(1));
    assert_eq!(names_in_log(&store).await, ["slow"]);
}

#[actix::test]
async fn a_write_under_faults_of_the_network_is_made_once_or_not_at_all() {
    let engine = PostgresEngine::start().await;
    let proxy = TcpProxy::start(engine.server.address()).await;
    let url = engine.server.url_through(proxy.port());
    let store = at_url(&url.into(), None, engine.data_dir.path()).unwrap();
    let mut writer = store.open_writer(5).await.unwrap().writer;
    let made = Cell::new(0);
    // Each cut hits whatever step the writer is at.
    let cutting = async {
        for cut in 1..=10 {
            let enough = || made.get() >= cut * 5;
            until_holds("some more were made", Duration::from_secs(20), enough).await;
            proxy.half_open();
        }
    };
    let writing = async {
        for n in 1..=100 {
            let committed = writer.commit(vec![create(&format!("user{n}"))], 5).await;
            committed.unwrap().outcomes[0].as_ref().unwrap();
            made.set(n);
        }
    };
    join(cutting, writing).await;
    let expected: Vec<String> = (1..=100).map(|n| format!("user{n}")).collect();
    let log = engine.store().open_log_reader().await.unwrap();
    assert_eq!(log.find_head().await.unwrap().position.seq, 100, "none was made twice");
    let users = engine.store().open_reader().await.unwrap().list_users(0, 1_000).await.unwrap();
    let names: Vec<&String> = users.iter().map(|user| &user.username).collect();
    assert!(expected.iter().eq(names));
}
