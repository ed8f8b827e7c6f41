//! A repository on files of its own, for the unit tests of the actors.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use contract::{Head, LogRecord, UserId};
use prometheus_client::registry::Registry;
use shared::actors::{Health, Mailbox, ask};
use shared::clock::Clock;
use shared::hashing::PasswordHash;
use shared::identity::Username;
use shared::secrets::SealingKeys;
use shared::sqlite::{CommitCount, ReadPool};
use tokio::sync::watch;

use super::{Close, CreateUser, Created, DeleteUser, LogRetention, UserRepository};
use crate::domain::{Precondition, Written};
use crate::metrics::ServiceMetrics;
use crate::store;

pub(in crate::actors) struct TestRepository {
    pub(in crate::actors) addr: Mailbox<UserRepository>,
    pub(in crate::actors) pool: ReadPool,
    pub(in crate::actors) commits: CommitCount,
    pub(in crate::actors) head: watch::Receiver<Head>,
    pub(in crate::actors) key: Arc<SealingKeys>,
    pub(in crate::actors) metrics: ServiceMetrics,
    pub(in crate::actors) directory: tempfile::TempDir,
}

impl TestRepository {
    pub(in crate::actors) fn start() -> Self {
        let retention = LogRetention { age: Duration::from_hours(7 * 24), rows: 10_000 };
        Self::open(tempfile::tempdir().unwrap(), 1_700_000_000_000, retention)
    }

    /// A moment later on the same files, and only so many records are to be kept.
    pub(in crate::actors) async fn restart_keeping(self, rows: i64) -> Self {
        ask(&self.addr, Close).await.unwrap();
        let retention = LogRetention { age: Duration::ZERO, rows };
        Self::open(self.directory, 1_700_000_000_001, retention)
    }

    fn open(directory: tempfile::TempDir, now_ms: i64, retention: LogRetention) -> Self {
        let path: PathBuf = directory.path().join("users.db");
        let key = Arc::new(SealingKeys::parse(&SealingKeys::generate()).unwrap());
        let metrics = ServiceMetrics::register(&mut Registry::default());
        let clock = Clock::manual(now_ms);
        let writer = metrics.writer.clone();
        let repository =
            UserRepository::open(&path, Arc::clone(&key), clock, retention, writer).unwrap();
        let pool = store::open_pool(&path, 4).unwrap();
        let (head, commits) = (repository.head(), repository.commits());
        let addr = repository.launch(&Arbiter::current(), &Health::default());
        Self { addr, pool, commits, head, key, metrics, directory }
    }

    pub(in crate::actors) fn records(&self) -> Vec<LogRecord> {
        store::log::records_after(&self.pool.get().unwrap(), 0, 10_000).unwrap()
    }

    pub(in crate::actors) async fn delete(&self, id: UserId) -> Written {
        let precondition = Precondition::None;
        let delete = DeleteUser { id, precondition, traceparent: None };
        ask(&self.addr, delete).await.unwrap().unwrap()
    }
}

pub(in crate::actors) fn create(name: &str) -> CreateUser {
    CreateUser {
        username: Username::parse(name).unwrap(),
        password_hash: PasswordHash::from_phc("$argon2id$hash"),
        idempotency: None,
        traceparent: None,
    }
}

pub(in crate::actors) async fn create_as(repository: &TestRepository, name: &str) -> Written {
    match ask(&repository.addr, create(name)).await.unwrap().unwrap() {
        Created::User(written) => written,
        Created::NameTaken => panic!("{name} is taken"),
    }
}
