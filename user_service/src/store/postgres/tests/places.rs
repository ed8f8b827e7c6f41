//! The log in another place: restored, or on a standby that took over.

use contract::EventKind;

use super::*;
use crate::store::Writer;

/// Longer than servers need.
const PATIENCE: Duration = Duration::from_secs(20);

/// A log with one user, kept in a base backup, and the one who writes it.
async fn with_backup() -> (PostgresEngine, Box<dyn Writer>) {
    let engine = PostgresEngine::start().await;
    let mut writer = engine.store().open_writer(5).await.unwrap().writer;
    writer.commit(vec![create("anna")], 5).await.unwrap();
    engine.server.take_base_backup();
    (engine, writer)
}

async fn create_as(writer: &mut Box<dyn Writer>, name: &str) -> (i64, contract::Head) {
    // The first attempt may find the connection gone.
    let committed = until("the server is back", Duration::from_secs(10), async || {
        writer.commit(vec![create(name)], 5).await.ok()
    })
    .await;
    (committed.outcomes[0].as_ref().unwrap().user.id.0, committed.head)
}

async fn kinds(engine: &PostgresEngine) -> Vec<EventKind> {
    let log = engine.store().open_log_reader().await.unwrap();
    let records = log.list_records(0, 100).await.unwrap().records;
    records.into_iter().map(|stored| stored.record.kind).collect()
}

#[actix::test]
async fn a_base_backup_that_is_restored_under_a_running_service_is_noticed_by_what_it_lost() {
    let (mut engine, mut writer) = with_backup().await;
    let (lost, before) = create_as(&mut writer, "bert").await;
    engine.server.put_base_backup_back().await;
    let (id, after) = create_as(&mut writer, "carl").await;
    assert_eq!((lost, id), (2, 1_000_003), "no id is given twice");
    assert_ne!(before.incarnation, after.incarnation);
    let created = EventKind::CREATED;
    assert_eq!(kinds(&engine).await, [created.clone(), EventKind::REWOUND, created]);
}

#[actix::test]
async fn a_base_backup_that_lost_nothing_changes_nothing() {
    let (mut engine, mut writer) = with_backup().await;
    engine.server.put_base_backup_back().await;
    assert_eq!(create_as(&mut writer, "bert").await.0, 2);
    assert_eq!(kinds(&engine).await, [EventKind::CREATED, EventKind::CREATED]);
}

#[actix::test]
async fn a_standby_that_took_over_begins_a_new_incarnation_and_leaves_ids_out() {
    let (mut engine, mut writer) = with_backup().await;
    let mut other = engine.store().open_writer(5).await.unwrap().writer;
    let before = other.follow_others(5).await.unwrap().unwrap();
    engine.server.promote().await;
    let (id, after) = create_as(&mut writer, "bert").await;
    assert_eq!(id, 1_000_002, "a process that is gone may have given others");
    assert_ne!(before.incarnation, after.incarnation);
    assert_eq!(kinds(&engine).await, [EventKind::CREATED, EventKind::CREATED], "nothing is lost");
    // All processes notice it, and the first one alone acts on it.
    let (id, last) = create_as(&mut other, "carl").await;
    assert_eq!((id, last.incarnation), (1_000_003, after.incarnation));
    let log = engine.store().open_log_reader().await.unwrap();
    assert_eq!(log.find_head().await.unwrap(), last);
}

#[actix::test]
async fn a_former_primary_that_runs_again_is_not_used_and_its_records_are_not_published() {
    let (engine, mut writer) = with_backup().await;
    let standby = engine.server.start_standby().await;
    until_holds("the standby has it all", PATIENCE, || standby.is_level_with(&engine.server)).await;
    standby.stop_receiving();
    // Two processes: one goes to the standby with its directory, the other stays.
    standby.take_over();
    let store = at_url(&standby.url().into(), None, engine.data_dir.path()).unwrap();
    let mut successor = store.open_writer(5).await.unwrap().writer;
    let (id, _) = create_as(&mut successor, "bert").await;
    assert_eq!(id, 1_000_002);
    successor.keep_mark().await.unwrap();
    let (lost, _) = create_as(&mut writer, "lost").await;
    assert_eq!(lost, 2, "nobody has told it");

    // The next start on the former one knows from the mark.
    let store = engine.store();
    let refused = store.open_writer(5).await.err().unwrap();
    let told = refused.cause().to_string();
    assert!(told.contains("timeline 00000001") && told.contains("00000002"), "{told}");
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    assert!(store.trouble().unwrap().contains("a former primary"), "{:?}", store.trouble());
    let log = store.open_log_reader().await.unwrap();
    assert!(log.find_head().await.is_err(), "followers get no answer from it");
}

#[actix::test]
async fn who_has_seen_the_new_primary_leaves_the_former_one_and_refuses_it() {
    let (engine, _) = with_backup().await;
    let standby = engine.server.start_standby().await;
    let address = TcpProxy::start(engine.server.address()).await;
    let url = engine.server.url_through(address.port());
    let store = at_url(&url.into(), None, engine.data_dir.path()).unwrap();
    let mut writer = store.open_writer(5).await.unwrap().writer;
    let reader = store.open_reader().await.unwrap();
    assert_eq!(reader.list_users(0, 10).await.unwrap().len(), 1);
    until_holds("the standby has it all", PATIENCE, || standby.is_level_with(&engine.server)).await;
    standby.take_over();

    // The connections to the former one stay open, and one that is new tells of the other.
    address.redirect(standby.address());
    let other = store.open_reader().await.unwrap();
    assert_eq!(other.list_users(0, 10).await.unwrap().len(), 1);
    create_as(&mut writer, "bert").await;
    assert_eq!(standby.sql("SELECT count(*) FROM users"), "2");
    assert_eq!(reader.list_users(0, 10).await.unwrap().len(), 2);

    // The address goes back, and nobody has stopped the former one.
    address.redirect(engine.server.address());
    address.cut();
    address.heal();
    let refused = writer.commit(vec![create("carl")], 5).await.unwrap_err();
    assert!(refused.cause().to_string().contains("former primary"), "{refused:?}");
    assert!(reader.list_users(0, 10).await.is_err());
    assert!(store.trouble().unwrap().contains("a former primary"), "{:?}", store.trouble());
    assert_eq!(engine.server.sql("SELECT count(*) FROM users"), "1");

    address.redirect(standby.address());
    create_as(&mut writer, "carl").await;
    assert_eq!(store.trouble(), None);
}
