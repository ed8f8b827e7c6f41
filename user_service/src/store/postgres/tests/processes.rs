//! Several processes behind one log: each store here stands for one.

use super::moving::LONG_LEASE;
use super::*;
use crate::store::{LEASE_LENGTH, Lease, LeaseClaim, Retention, Writer};

/// The writer of one more process.
async fn process(engine: &PostgresEngine) -> Box<dyn Writer> {
    engine.store().open_writer(5).await.unwrap().writer
}

async fn claim(writer: &mut Box<dyn Writer>, length: Duration) -> Lease {
    writer.claim_lease(LeaseClaim { confirmed: None, length }).await.unwrap()
}

#[actix::test]
async fn one_process_has_the_lease_until_it_offers_it_or_lets_it_run_out() {
    let engine = PostgresEngine::start().await;
    let (mut first, mut second) = (process(&engine).await, process(&engine).await);
    let held = claim(&mut first, LEASE_LENGTH).await;
    assert!(held.is_ours && held.left <= LEASE_LENGTH, "{held:?}");
    let refused = claim(&mut second, LEASE_LENGTH).await;
    assert!(!refused.is_ours && refused.left <= LEASE_LENGTH, "{refused:?}");
    assert_eq!(refused.holder, held.holder, "it is told who has it");
    assert!(claim(&mut first, Duration::ZERO).await.is_ours, "offered");
    assert!(claim(&mut second, LEASE_LENGTH).await.is_ours);
    assert!(!claim(&mut first, LEASE_LENGTH).await.is_ours, "it finds out");
    engine.server.sql("UPDATE published SET until = now()");
    assert!(claim(&mut first, LEASE_LENGTH).await.is_ours, "it ran out");
    // From a clock that was ahead, or before the database was restored.
    engine.server.sql("UPDATE published SET until = now() + interval '1 hour'");
    assert!(claim(&mut second, LEASE_LENGTH).await.is_ours);
}

#[actix::test]
async fn a_new_holder_goes_on_after_what_the_former_one_recorded() {
    let engine = PostgresEngine::start().await;
    let (mut first, mut second) = (process(&engine).await, process(&engine).await);
    let committed = first.commit(vec![create("anna"), create("bert")], 5).await.unwrap();
    let confirmed = Some(committed.head.position);
    let claim = LeaseClaim { confirmed, length: Duration::ZERO };
    assert_eq!(first.claim_lease(claim).await.unwrap().published, 2);
    let claim = LeaseClaim { confirmed: None, length: LEASE_LENGTH };
    let lease = second.claim_lease(claim).await.unwrap();
    assert_eq!((lease.is_ours, lease.published), (true, 2));
}

#[actix::test]
async fn the_holder_alone_prunes() {
    let engine = PostgresEngine::start().await;
    let (mut first, mut second) = (process(&engine).await, process(&engine).await);
    let committed = first.commit(vec![create("anna")], 5).await.unwrap();
    let confirmed = Some(committed.head.position);
    first.claim_lease(LeaseClaim { confirmed, length: LEASE_LENGTH }).await.unwrap();
    engine.server.sql(LONG_LEASE);
    let all = Retention { age_ms: 0, rows: 0 };
    assert_eq!(second.prune(all, 5).await.unwrap().records, 0);
    assert_eq!(first.prune(all, 5).await.unwrap().records, 1);
    assert_eq!(
        second.prune(all, 5).await.unwrap().log_start_seq,
        1,
        "it tells where the log begins"
    );
}

#[actix::test]
async fn a_commit_wakes_other_processes_and_a_lost_connection_is_told() {
    let mut engine = PostgresEngine::start().await;
    let mut writer = process(&engine).await;
    let mut watch = engine.store().watch_log().await.unwrap();
    let bound = Duration::from_secs(5);
    for n in 0..3 {
        writer.commit(vec![create(&format!("user{n}"))], 5).await.unwrap();
        within("word of the commit", bound, watch.changed()).await.unwrap();
    }
    engine.server.kill().await;
    within("word of the loss", bound, watch.changed()).await.unwrap_err();
}

#[actix::test]
async fn behind_pgbouncer_all_works_and_notifications_come_beside_it() {
    let engine = PostgresEngine::start().await;
    let mut pooler = PgBouncer::start(engine.server.address().port()).await;
    let (pooled, direct) = (pooler.url(&engine.server).into(), engine.server.url().into());
    let store = at_url(&pooled, Some(&direct), engine.data_dir.path()).unwrap();
    let mut writer = store.open_writer(5).await.unwrap().writer;
    let (reader, mut watch) =
        (store.open_reader().await.unwrap(), store.watch_log().await.unwrap());
    writer.commit(vec![create("anna"), create("bert")], 5).await.unwrap();
    within("word of the commit", Duration::from_secs(5), watch.changed()).await.unwrap();
    assert_eq!(reader.list_users(0, 10).await.unwrap().len(), 2);

    pooler.kill();
    let refused = writer.commit(vec![create("carl")], 5).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    pooler.restart().await;
    writer.commit(vec![create("carl")], 5).await.unwrap();
    assert_eq!(reader.list_users(0, 10).await.unwrap().len(), 3);
}
