//! Moves between a file and PostgreSQL, in both directions.

use std::path::PathBuf;

use contract::{Head, LogRecord};

use super::*;
use crate::domain::{Credentials, Precondition, User};
use crate::store::moving::{Arrived, MoveEnd, MoveError, move_end, move_log};
use crate::store::{DeleteUser, LEASE_LENGTH, LeaseClaim, Retention, in_file};

/// A slow machine must not outlast it.
pub(super) const LONG_LEASE: &str = "UPDATE published SET until = now() + interval '1 hour'";

struct Ends {
    engine: PostgresEngine,
    directory: TempDir,
}

impl Ends {
    async fn new() -> Self {
        Self { engine: PostgresEngine::start().await, directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str) -> Box<dyn MoveEnd> {
        move_end(&self.path(name).display().to_string().into(), self.directory.path()).unwrap()
    }

    fn server(&self) -> Box<dyn MoveEnd> {
        move_end(&self.engine.server.url().into(), self.directory.path()).unwrap()
    }

    /// A log of which a part was pruned and a part is not published, with a user who was deleted.
    async fn fill(&self, name: &str) {
        let mut writer = in_file(self.path(name)).open_writer(5).await.unwrap().writer;
        let names: Vec<Change> = (0..2_500).map(|n| create(&format!("user{n}"))).collect();
        let committed = writer.commit(names, 5).await.unwrap();
        let confirmed = Some(committed.head.position);
        writer.claim_lease(LeaseClaim { confirmed, length: LEASE_LENGTH }).await.unwrap();
        writer.prune(Retention { age_ms: 0, rows: 1_400 }, 5).await.unwrap();
        let delete =
            DeleteUser { id: UserId(2_500), precondition: Precondition::None, traceparent: None };
        writer.commit(vec![Change::Delete(delete), create("last")], 5).await.unwrap();
        writer.close().await.unwrap();
    }
}

/// Everything that clients and followers can see.
#[derive(Debug, PartialEq)]
struct Seen {
    head: Head,
    records: Vec<LogRecord>,
    users: Vec<User>,
    hashes: Vec<String>,
}

async fn seen(end: &dyn MoveEnd) -> Seen {
    let log = end.store().open_log_reader().await.unwrap();
    let all = log.snapshot().await.unwrap().list_credentials(0, 10_000).await.unwrap();
    let start = end.find_log().await.unwrap().start.seq;
    let records = log.list_records(start, 10_000).await.unwrap().records;
    Seen {
        head: log.find_head().await.unwrap(),
        records: records.into_iter().map(|stored| stored.record).collect(),
        hashes: all.iter().map(|known| known.password_hash.expose_phc().to_owned()).collect(),
        users: all.into_iter().map(|Credentials { user, .. }| user).collect(),
    }
}

async fn move_all(from: &dyn MoveEnd, to: &dyn MoveEnd) -> Result<(), MoveError> {
    move_log(from, to, |_| {}).await.map(drop)
}

#[actix::test]
async fn a_log_is_the_same_in_its_new_place_and_back_again() {
    let ends = Ends::new().await;
    ends.fill("users.db").await;
    let (file, server, back) = (ends.file("users.db"), ends.server(), ends.file("back.db"));
    let before = seen(&*file).await;
    assert_eq!((before.users.len(), before.records.len() < 2_500), (2_500, true));
    move_all(&*file, &*server).await.unwrap();
    assert_eq!(seen(&*server).await, before);
    move_all(&*server, &*back).await.unwrap();
    assert_eq!(seen(&*back).await, before);
    // Both go on as the source would have.
    for end in [server, back] {
        let mut opened = end.store().open_writer(5).await.unwrap();
        assert_eq!(opened.head.position, before.head.position, "nothing was added by the start");
        let claim = LeaseClaim { confirmed: None, length: LEASE_LENGTH };
        assert_eq!(opened.writer.claim_lease(claim).await.unwrap().published, 2_500);
        let committed = opened.writer.commit(vec![create("next")], 5).await.unwrap();
        assert_eq!(committed.outcomes[0].as_ref().unwrap().user.id, UserId(2_502));
    }
}

#[actix::test]
async fn a_move_that_was_interrupted_goes_on_and_the_target_is_not_served_before_its_end() {
    let ends = Ends::new().await;
    ends.fill("users.db").await;
    for (from, to) in [(ends.file("users.db"), ends.server()), (ends.server(), ends.file("b.db"))] {
        let interrupted = async {
            // The first page, and no more.
            let log = from.find_log().await.unwrap();
            let page = {
                let reader = from.store().open_log_reader().await.unwrap();
                reader.snapshot().await.unwrap().list_credentials(0, 1_000).await.unwrap()
            };
            to.store().migrate().await.unwrap();
            to.open_target(log).await.unwrap().add_users(page).await.unwrap();
        };
        interrupted.await;
        let refused = to.store().open_writer(5).await.err().unwrap();
        assert!(refused.cause().to_string().contains("run `move` again"), "{refused:?}");
        let mut told = Vec::new();
        move_log(&*from, &*to, |arrived| told.push(arrived)).await.unwrap();
        assert_eq!(told[0], Arrived { user_id: 2_000, seq: 0 }, "it goes on after the first page");
        assert_eq!(seen(&*to).await, seen(&*from).await);
    }
}

#[actix::test]
async fn a_move_refuses_a_target_in_use_another_log_and_a_service_that_runs() {
    let ends = Ends::new().await;
    ends.fill("users.db").await;
    ends.fill("other.db").await;
    let (file, other, server) = (ends.file("users.db"), ends.file("other.db"), ends.server());
    assert!(matches!(move_all(&*file, &*other).await, Err(MoveError::NotEmpty)));
    let log = other.find_log().await.unwrap();
    server.store().migrate().await.unwrap();
    server.open_target(log).await.unwrap();
    assert!(matches!(move_all(&*file, &*server).await, Err(MoveError::OtherMove)));
    ends.engine.server.sql("DELETE FROM moving");
    let mut writer = server.store().open_writer(5).await.unwrap().writer;
    writer.claim_lease(LeaseClaim { confirmed: None, length: LEASE_LENGTH }).await.unwrap();
    ends.engine.server.sql(LONG_LEASE);
    for (from, to) in [(&file, &server), (&server, &other)] {
        assert!(matches!(move_all(&**from, &**to).await, Err(MoveError::Running(_))));
    }
}
