use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use shared::bus::{
    Bus, BusError, BusStatus, InProcessBus, Message, Outgoing, QueueSpec, Subscription,
};
use shared::clock::Clock;
use shared::secrets::SealingKeys;
use testkit::wait::until;

use crate::test_app::{BOUND, TestApp};

/// A broker that is not there.
pub(crate) struct Unreachable;

impl Bus for Unreachable {
    fn publish(&self, _: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        async { Err(BusError::Unreachable("no broker".into())) }.boxed()
    }

    fn publish_mandatory(&self, _: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        async { Err(BusError::Unreachable("no broker".into())) }.boxed()
    }

    fn subscribe(&self, _: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        async { Err(BusError::Unreachable("no broker".into())) }.boxed()
    }

    fn status(&self) -> BusStatus {
        BusStatus::Down { cause: "broker unreachable".to_owned() }
    }
}

#[actix_web::test]
async fn without_a_broker_the_service_starts_and_logs_in_and_out_as_before() {
    let app = TestApp::start().await;
    app.users.create_outdated("testuser", "testpassword");
    app.bring().await;
    let old = app.login("testuser", "testpassword").await.token();
    let app = app.restart_on(Arc::new(Unreachable), |_| {}).await;
    until("it is known to be cut off", BOUND, async || {
        let ready = app.get("/readyz").await;
        let degraded = ready.json()["degraded"].to_string();
        let is_told = degraded.contains("broker unreachable")
            && degraded.contains("cut off from other replicas");
        (ready.status == 200 && is_told).then_some(())
    })
    .await;
    let new = app.login("testuser", "testpassword").await.token();
    assert_eq!(app.logout(&old).await.status, 200);
    assert_eq!((app.is_alive(&old).await, app.is_alive(&new).await), (false, true));
    app.stop().await;
}

#[actix_web::test]
async fn a_deletion_kills_tokens_even_while_the_projection_cannot_be_written() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    let database = Connection::open(app.dir.path().join("projection.db")).unwrap();
    let fault = "CREATE TRIGGER fault BEFORE DELETE ON credentials
                 BEGIN SELECT RAISE(FAIL, 'as the test wants it'); END";
    database.execute_batch(fault).unwrap();
    app.users.delete(1);
    app.users.publish_last().await;
    until("the token is dead", BOUND, async || (!app.is_alive(&token).await).then_some(())).await;
    assert_eq!(app.metric("lockstep_projection_seq").await, 1);
    database.execute_batch("DROP TRIGGER fault").unwrap();
    app.until_applied().await;
    assert_eq!(app.login("testuser", "testpassword").await.status, 401);
    app.stop().await;
}

#[actix_web::test]
async fn a_sealing_key_that_is_not_user_service_s_is_told_at_readyz() {
    let other = SealingKeys::generate();
    let app = TestApp::start_with(&["--sealing-key", &other], Clock::system()).await;
    app.users.create("testuser", "testpassword");
    until("the key is named", BOUND, async || {
        app.users.publish_head().await;
        let degraded = app.get("/readyz").await.json()["degraded"].to_string();
        degraded.contains("give both services the same sealing keys").then_some(())
    })
    .await;
    // As a wrong password does: another answer would tell that somebody has this name.
    let answer = app.login("testuser", "testpassword").await;
    assert_eq!((answer.status, answer.problem().as_str()), (401, "wrong-credentials"));
    app.stop().await;
}

#[actix_web::test]
async fn hashes_that_cannot_be_opened_are_told_and_asked_for_anew_until_all_can_log_in() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.users.create("other", "testpassword");
    app.bring().await;
    let (users, before) =
        (app.users.clone(), app.metric("lockstep_projection_snapshots_total").await);
    let app = app
        .restart_after(|dir| {
            users.set_answers(false);
            // As an earlier version has left them, or a key that was lost.
            let database = Connection::open(dir.join("projection.db")).unwrap();
            let spoil = "UPDATE credentials SET sealed_hash = 'v1.0123abcd.x' WHERE user_id = 1;
                         UPDATE credentials SET sealed_hash = 'v2.0123abcd.x' WHERE user_id = 2;
                         DELETE FROM hash_counts;
                         INSERT INTO hash_counts VALUES ('v1.0123abcd', 1), ('v2.0123abcd', 1)";
            database.execute_batch(spoil).unwrap();
        })
        .await;
    let ready = app.get("/readyz").await;
    let reason = ready.json()["reasons"][0].as_str().unwrap().to_owned();
    assert!(ready.status == 503 && reason.starts_with("2 hashes cannot be opened"), "{reason}");
    assert!(reason.contains("0123abcd"), "{reason}");
    assert_eq!(app.login("testuser", "testpassword").await.status, 401);
    app.users.set_answers(true);
    until("the service is ready", BOUND, async || {
        app.users.publish_head().await;
        (app.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    assert!(before == 0 && app.metric("lockstep_projection_snapshots_total").await >= 1);
    for name in ["testuser", "other"] {
        assert_eq!(app.login(name, "testpassword").await.status, 200, "{name}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn after_the_sealing_key_was_replaced_hashes_are_sealed_with_the_new_one_and_the_old_can_go()
{
    let app = TestApp::start().await;
    let names: Vec<String> = (1..=3).map(|n| format!("user{n}")).collect();
    for name in &names {
        app.users.create(name, "testpassword");
    }
    app.bring().await;
    let (users, new) = (app.users.clone(), SealingKeys::generate());
    let app = app
        .restart_after(|dir| {
            // Nothing but what is here may help.
            users.set_answers(false);
            let file = dir.join("sealing.key");
            let old = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, format!("{new}\n{old}")).unwrap();
        })
        .await;
    let id = SealingKeys::parse(&new).unwrap().first_id().to_owned();
    let resealed = format!("lockstep_sealed_hashes{{key=\"{id}\",state=\"first\"}} 3");
    until("all are sealed with the new key", BOUND, async || {
        let metrics = String::from_utf8(app.get("/metrics").await.body).unwrap();
        metrics.contains(&resealed).then_some(())
    })
    .await;
    let app = app.restart_after(|dir| std::fs::write(dir.join("sealing.key"), &new).unwrap()).await;
    for name in &names {
        assert_eq!(app.login(name, "testpassword").await.status, 200, "{name}");
    }
    assert_eq!(app.metric("lockstep_projection_snapshots_total").await, 0);
    app.stop().await;
}

#[actix_web::test]
async fn a_projection_that_is_damaged_while_it_is_used_is_told_at_readyz() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    let app = app.restart_after(|_| {}).await;
    let path = app.dir.path().join("projection.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0x2a);
    // In place, as a disk does it.
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(&bytes).unwrap();
    assert_eq!(app.verify(&token).await.problem(), "not-yet-known");
    let ready = app.get("/readyz").await;
    let reasons = ready.json()["reasons"].to_string();
    assert!(ready.status == 503 && reasons.contains("projection.db is damaged"), "{reasons}");
    app.stop().await;
}

/// A bus that panics, once, at each of two calls: one of the consumer, one of the dead letters.
struct PanicsOnce {
    inside: InProcessBus,
    subscribes: AtomicBool,
    declares: AtomicBool,
}

impl Bus for PanicsOnce {
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        self.inside.publish(batch)
    }

    fn publish_mandatory(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        self.inside.publish_mandatory(outgoing)
    }

    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        let is_consumer = queue.name.starts_with("auth.1.");
        let has_panicked = is_consumer && self.subscribes.swap(true, Ordering::Relaxed);
        assert!(!is_consumer || has_panicked, "as the test wants it");
        self.inside.subscribe(queue)
    }

    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), BusError>> {
        assert!(self.declares.swap(true, Ordering::Relaxed), "as the test wants it");
        self.inside.declare(queue)
    }

    fn status(&self) -> BusStatus {
        self.inside.status()
    }
}

#[actix_web::test]
async fn after_a_panic_the_log_is_followed_and_dead_letters_are_sent_all_the_same() {
    let app = TestApp::start().await;
    let (subscribes, declares) = (AtomicBool::new(false), AtomicBool::new(false));
    let bus = PanicsOnce { inside: app.bus.clone(), subscribes, declares };
    let app = app.restart_on(Arc::new(bus), |_| {}).await;
    app.until_events_arrive().await;
    app.users.publish_raw(Message { body: "x".into(), ..Message::default() }).await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    assert_eq!(app.login("testuser", "testpassword").await.status, 200);
    until("both are shown", BOUND, async || {
        let ready = app.get("/readyz").await;
        let degraded = ready.json()["degraded"].to_string();
        let are_shown =
            ["following the log of user_service: panicked", "sending dead letters: panicked"]
                .iter()
                .all(|shown| degraded.contains(shown));
        (ready.status == 200 && are_shown).then_some(())
    })
    .await;
    let metrics = String::from_utf8(app.get("/metrics").await.body).unwrap();
    for name in ["following the log of user_service", "sending dead letters"] {
        let counted = format!("lockstep_loop_restarts_total{{loop=\"{name}\"}} 1");
        assert!(metrics.contains(&counted), "{metrics}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn ended_sessions_are_forgotten_although_the_database_has_refused_it() {
    let clock = Clock::manual(1_800_000_000_000);
    let app = TestApp::start_with(&[], clock).await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    assert_eq!(app.logout(&token).await.status, 200);
    let database = Connection::open(app.dir.path().join("tokens.db")).unwrap();
    let fault = "CREATE TRIGGER fault BEFORE DELETE ON token_records
                 BEGIN SELECT RAISE(FAIL, 'as the test wants it'); END";
    database.execute_batch(fault).unwrap();
    app.clock.advance_ms(16 * 60_000);
    until("the fault is shown", BOUND, async || {
        let degraded = app.get("/readyz").await.json()["degraded"].to_string();
        let shown = "forgetting ended sessions: the database failed: as the test wants it";
        degraded.contains(shown).then_some(())
    })
    .await;
    assert_eq!(app.metric("lockstep_revoked_sessions").await, 1);
    database.execute_batch("DROP TRIGGER fault").unwrap();
    until("it is forgotten", BOUND, async || {
        (app.metric("lockstep_revoked_sessions").await == 0).then_some(())
    })
    .await;
    app.stop().await;
}

#[actix_web::test]
async fn after_a_clean_stop_everything_is_in_the_main_files_of_the_databases() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let token = app.login("testuser", "testpassword").await.token();
    assert_eq!(app.logout(&token).await.status, 200);
    let dir = app.dir.clone();
    app.stop().await;
    let ended = "(SELECT 1 FROM token_records WHERE hex(substr(record, 1, 1)) = '01')";
    for (name, table) in [("projection.db", "credentials"), ("tokens.db", ended)] {
        let wal = dir.path().join(format!("{name}-wal"));
        assert_eq!(std::fs::metadata(wal).map_or(0, |metadata| metadata.len()), 0, "{name}");
        let copy = dir.path().join(format!("copy of {name}"));
        std::fs::copy(dir.path().join(name), &copy).unwrap();
        let sql = format!("SELECT count(*) FROM {table}");
        let count = Connection::open(copy).unwrap().query_row(&sql, [], |row| row.get(0));
        assert_eq!(count, Ok(1), "{table}");
    }
}

#[actix_web::test]
async fn a_hash_that_cannot_be_compared_is_answered_like_a_name_that_nobody_has() {
    let app = TestApp::start().await;
    app.users.create_incomparable("testuser");
    app.bring().await;
    let [known, unknown] = ["testuser", "nobody"];
    let known = app.login(known, "testpassword").await;
    let unknown = app.login(unknown, "testpassword").await;
    assert_eq!((known.status, known.problem().as_str()), (401, "wrong-credentials"));
    assert_eq!((known.status, known.problem()), (unknown.status, unknown.problem()));
    app.stop().await;
}
