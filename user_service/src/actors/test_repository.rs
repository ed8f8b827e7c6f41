//! A repository on its own temporary files, for the unit tests of the actors.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix::Arbiter;
use contract::{Head, LogRecord, Position, UserId};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use shared::actors::{Health, Mailbox, ask};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, DeadLetters};
use shared::clock::Clock;
use shared::hashing::PasswordHash;
use shared::identity::Username;
use shared::secrets::SealingKeys;
use tokio::sync::watch;

use super::consuming::BusAccess;
use super::foreign_keys::ForeignKeys;
use super::other_logs::OtherLogs;
use super::user_repository::{Close, UserRepository};
use crate::domain::{Precondition, Written};
use crate::metrics::ServiceMetrics;
use crate::store::{
    self, Change, CreateUser, DeleteUser, LEASE_LENGTH, LeaseClaim, LogReader, Store,
};

pub(super) struct TestRepository {
    pub(super) mailbox: Mailbox<UserRepository>,
    pub(super) store: Arc<dyn Store>,
    pub(super) log: Box<dyn LogReader>,
    pub(super) head: watch::Receiver<Option<Head>>,
    pub(super) is_writable: Arc<AtomicBool>,
    pub(super) key: Arc<SealingKeys>,
    pub(super) health: Health,
    pub(super) metrics: ServiceMetrics,
    pub(super) directory: tempfile::TempDir,
}

impl TestRepository {
    pub(super) async fn start() -> Self {
        Self::with_store(|store| store).await
    }

    /// Starts it with a store that misbehaves.
    pub(super) async fn with_store(wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = wrap(store::in_file(directory.path().join("users.db")));
        Self::open(directory, store).await
    }

    pub(super) async fn restart(self) -> Self {
        ask(&self.mailbox, Close).await.unwrap();
        Self::open(self.directory, self.store).await
    }

    async fn open(directory: tempfile::TempDir, store: Arc<dyn Store>) -> Self {
        let key = Arc::new(SealingKeys::parse(&SealingKeys::generate()).unwrap());
        let metrics = ServiceMetrics::register(&mut Registry::default());
        let health = Health::default();
        let clock = Clock::manual(1_700_000_000_000);
        let repository =
            UserRepository::open(Arc::clone(&store), clock, metrics.writer.clone()).await.unwrap();
        let (head, is_writable) = (repository.head(), repository.is_writable());
        let mailbox = repository.launch(&Arbiter::current(), &health);
        let log = store.open_log_reader().await.unwrap();
        Self { mailbox, store, log, head, is_writable, key, health, metrics, directory }
    }

    pub(super) fn head(&self) -> Head {
        self.head.borrow().unwrap()
    }

    pub(super) async fn records(&self) -> Vec<LogRecord> {
        let records = self.log.list_records(0, 10_000).await.unwrap().records;
        records.into_iter().map(|stored| stored.record).collect()
    }

    /// The bus has confirmed everything up to this place.
    pub(super) async fn confirm(&self, place: Position) {
        let lease = ask(&self.mailbox, claim(Some(place))).await.unwrap().unwrap();
        assert!(lease.is_ours && lease.published >= place.seq, "{lease:?}");
    }

    /// The last record that the bus has confirmed.
    pub(super) async fn published(&self) -> i64 {
        ask(&self.mailbox, claim(None)).await.unwrap().unwrap().published
    }

    pub(super) async fn delete(&self, id: UserId) -> Written {
        let precondition = Precondition::None;
        let delete = DeleteUser { id, precondition, traceparent: None };
        ask(&self.mailbox, Change::Delete(delete)).await.unwrap().unwrap()
    }
}

pub(super) fn claim(confirmed: Option<Position>) -> LeaseClaim {
    LeaseClaim { confirmed, length: LEASE_LENGTH }
}

pub(super) fn create(name: &str) -> Change {
    Change::Create(CreateUser {
        username: Username::parse(name).unwrap(),
        password_hash: PasswordHash::from_phc("$argon2id$hash"),
        idempotency: None,
        traceparent: None,
    })
}

pub(super) async fn create_as(repository: &TestRepository, name: &str) -> Written {
    ask(&repository.mailbox, create(name)).await.unwrap().unwrap()
}

/// A connection to the bus with the repository's keys.
pub(in crate::actors) fn access(repository: &TestRepository, bus: &Arc<dyn Bus>) -> BusAccess {
    let (here, health) = (Arbiter::current(), &repository.health);
    let dead_letters = DeadLetters::launch(&here, Arc::clone(bus), health, Counter::default());
    let codec = Codec::new(Arc::clone(&repository.key));
    let foreign_keys = ForeignKeys::default();
    let (bus, store) = (Arc::clone(bus), Arc::clone(&repository.store));
    let others = OtherLogs::default();
    BusAccess { bus, codec, store, others, dead_letters, foreign_keys }
}
