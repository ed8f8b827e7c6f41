use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::Arbiter;
use contract::UserId;
use futures_util::future::join_all;
use shared::actors::{AskError, Maintenance, ask};
use testkit::wait::{until, until_holds};

use super::super::test_repository::{TestRepository, claim, create, create_as};
use super::super::test_store::{TroubledStore, Troubles};
use super::*;

const BOUND: Duration = Duration::from_secs(10);

async fn troubled(troubles: &Troubles) -> TestRepository {
    let troubles = troubles.clone();
    TestRepository::with_store(|inside| Arc::new(TroubledStore { inside, troubles })).await
}

async fn until_created(repository: &TestRepository, name: &str) -> UserId {
    let written = until("there is room again", BOUND, async || {
        ask(&repository.mailbox, create(name)).await.unwrap().ok()
    });
    written.await.user.id
}

#[actix::test]
async fn a_full_disk_refuses_writes_until_there_is_room_and_loses_nothing() {
    let troubles = Troubles::default();
    let repository = troubled(&troubles).await;
    create_as(&repository, "anna").await;
    troubles.is_full.store(true, Ordering::Relaxed);
    let refused = ask(&repository.mailbox, create("bert")).await.unwrap();
    assert!(matches!(refused, Err(ChangeError::Store(StoreError::Full(_)))), "{refused:?}");
    assert!(!repository.is_writable.load(Ordering::Relaxed));
    troubles.is_full.store(false, Ordering::Relaxed);
    // Nobody writes meanwhile: the repository finds out by itself.
    let is_writable = || repository.is_writable.load(Ordering::Relaxed);
    until_holds("it can be written", BOUND, is_writable).await;
    create_as(&repository, "carl").await;
    assert_eq!(repository.records().await.len(), 2);
}

#[actix::test]
async fn a_disk_that_is_full_at_the_start_is_tried_again() {
    let troubles = Troubles::default();
    let repository = troubled(&troubles).await;
    let anna = create_as(&repository, "anna").await;
    troubles.is_full.store(true, Ordering::Relaxed);
    let repository = repository.restart().await;
    assert_eq!(*repository.head.borrow(), None, "nobody vouches for the log");
    let refused = ask(&repository.mailbox, create("bert")).await.unwrap();
    assert!(matches!(refused, Err(ChangeError::Store(StoreError::Full(_)))), "{refused:?}");
    let reader = repository.store.open_reader().await.unwrap();
    assert_eq!(reader.find_user(anna.user.id).await.unwrap(), Some(anna.user), "reading goes on");
    troubles.is_full.store(false, Ordering::Relaxed);
    assert_eq!(until_created(&repository, "carl").await, UserId(2));
    assert!(repository.is_writable.load(Ordering::Relaxed));
}

#[actix::test]
async fn a_commit_that_panics_fails_its_group_alone() {
    let troubles = Troubles::default();
    let repository = troubled(&troubles).await;
    troubles.commit_panics.store(true, Ordering::Relaxed);
    let gone = ask(&repository.mailbox, create("anna")).await;
    assert_eq!(gone.err(), Some(AskError::Gone("UserRepository")));
    create_as(&repository, "bert").await;
}

#[actix::test]
async fn the_log_ends_for_followers_where_the_last_commit_left_it() {
    let repository = TestRepository::start().await;
    let mut head = repository.head.clone();
    create_as(&repository, "anna").await;
    let has_moved = || head.borrow_and_update().is_some_and(|head| head.position.seq == 1);
    until_holds("the head moves", BOUND, has_moved).await;
    let last = repository.records().await.pop().unwrap();
    assert_eq!(repository.head().position, last.position);
}

#[actix::test]
async fn what_waits_is_committed_as_one_group() {
    let repository = TestRepository::start().await;
    create_as(&repository, "first").await;
    let groups = repository.metrics.writer.groups.clone();
    let before = groups.get();
    let names: Vec<String> = (0..50).map(|n| format!("user{n}")).collect();
    join_all(names.iter().map(|name| create_as(&repository, name))).await;
    assert!(groups.get() - before < 10, "{} groups for 50 writes", groups.get() - before);
}

#[actix::test]
async fn what_waits_is_committed_before_the_database_is_closed() {
    let repository = TestRepository::start().await;
    let (written, closed) =
        tokio::join!(ask(&repository.mailbox, create("anna")), ask(&repository.mailbox, Close));
    closed.unwrap();
    let id = written.unwrap().unwrap().user.id;
    let reader = repository.store.open_reader().await.unwrap();
    assert!(reader.find_user(id).await.unwrap().is_some());
}

#[actix::test]
async fn after_a_panic_the_log_is_pruned_all_the_same() {
    let troubles = Troubles::default();
    let inside = troubles.clone();
    let repository = TestRepository::with_store(|store| {
        Arc::new(TroubledStore { inside: store, troubles: inside })
    })
    .await;
    create_as(&repository, "anna").await;
    repository.confirm(repository.head().position).await;
    troubles.prune_panics.store(true, Ordering::Relaxed);
    let retention = Retention { age_ms: 0, rows: 0 };
    let (thread, writer) = (Arbiter::current(), repository.mailbox.clone());
    let (what, prune) = (("pruning the log", Duration::from_mins(1)), Prune(retention));
    let _pruning = Maintenance::launch(&thread, what, writer, prune, &repository.health);
    let is_pruned = || repository.metrics.writer.pruned_seq.get() == 1;
    until_holds("the record is gone", Duration::from_secs(10), is_pruned).await;
    assert_eq!(repository.health.degraded(), ["pruning the log: UserRepository gave no answer"]);
}

#[actix::test]
async fn a_group_is_committed_when_what_came_after_it_has_given_the_writer_back() {
    let repository = TestRepository::start().await;
    create_as(&repository, "anna").await;
    let publish = || ask(&repository.mailbox, claim(None));
    let bert = ask(&repository.mailbox, create("bert"));
    // The group is due between the two of them.
    let (bert, one, two) = tokio::join!(bert, publish(), publish());
    assert!(bert.unwrap().is_ok());
    assert!(one.unwrap().is_ok() && two.unwrap().is_ok());
    assert!(repository.is_writable.load(Ordering::Relaxed));
}

#[actix::test]
async fn closing_waits_for_what_has_borrowed_the_writer() {
    let repository = TestRepository::start().await;
    create_as(&repository, "anna").await;
    let publish = || ask(&repository.mailbox, claim(None));
    let bert = ask(&repository.mailbox, create("bert"));
    let close = ask(&repository.mailbox, Close);
    let (bert, one, closed, _) = tokio::join!(bert, publish(), close, publish());
    assert!(bert.unwrap().is_ok() && one.unwrap().is_ok() && closed.is_ok());
    assert_eq!(repository.records().await.len(), 2);
}
