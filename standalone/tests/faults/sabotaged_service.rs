//! Both services in one process, which make one mistake: as decorators around the store of
//! user_service, and as a trigger in the database of auth_service. The services' own code is as it
//! is everywhere.
//!
//! The process is this test binary itself, told to run the one test that serves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use contract::Head;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rusqlite::Connection;
use shared::bus::InProcessBus;
use shared::capacity::Capacity;
use shared::clock::Clock;
use shared::identity::Username;
use shared::telemetry::init_logging;
use standalone::{Config, start_with};
use user_service::domain::Precondition;
use user_service::store::{
    Change, Committed, FollowerPlace, Lease, LeaseClaim, LogReader, LogWatch, Opened, Pruned,
    Reader, Retention, Store, StoreError, UpdateUser, Writer,
};

/// Says which mistake to make, in the environment of the process.
const MISTAKE: &str = "SABOTAGE";
/// Every so many commits are lost.
const LOST_COMMIT: u64 = 10;
/// Every so many changes are made twice.
const DOUBLED_CHANGE: u64 = 5;
/// Users with ids that are multiples of it never arrive in the projection.
const LOST_USER: u64 = 5;

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Writes are answered, and are not on the disk.
    LoseCommits,
    /// Changes of users are made twice.
    DoubleChanges,
    /// Idempotency keys are not stored.
    ForgetKeys,
    /// The projection goes past records without applying them.
    LoseUsers,
}

impl Mistake {
    const ALL: [Self; 4] =
        [Self::LoseCommits, Self::DoubleChanges, Self::ForgetKeys, Self::LoseUsers];

    /// The process that makes it, but for its settings.
    pub(crate) fn command(self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("sabotaged_service::serves_until_it_is_killed")
            .env_clear()
            .env(MISTAKE, format!("{self:?}"));
        command
    }

    #[expect(clippy::disallowed_methods, reason = "no setting: --help must not have it")]
    fn from_environment() -> Self {
        let name = std::env::var(MISTAKE).unwrap();
        Self::ALL.into_iter().find(|mistake| format!("{mistake:?}") == name).unwrap()
    }
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

#[actix_web::test]
#[ignore = "a process that other tests start, not a test"]
async fn serves_until_it_is_killed() {
    let mistake = Mistake::from_environment();
    let config = Cli::parse_from(["sabotaged"]).config;
    let _log = init_logging(&config.common.log, config.common.log_format).unwrap();
    let inside = config.for_user_service().store(&config.common.data_dir).unwrap();
    let path = config.common.data_dir.join("users.db");
    let store = Arc::new(SabotagedStore { inside, mistake, path });
    let bus = Arc::new(InProcessBus::new());
    let capacity = Capacity { http_workers: 2, connections: 1024, hash_threads: 1 };
    let _running = start_with(&config, capacity, store, bus, Clock::system()).await.unwrap();
    if mistake == Mistake::LoseUsers {
        lose_users(&config.common.data_dir.join("projection.db"));
    }
    std::future::pending::<()>().await;
}

fn lose_users(projection: &Path) {
    let database = Connection::open(projection).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let sql = format!(
        "CREATE TRIGGER IF NOT EXISTS lose BEFORE INSERT ON credentials
         WHEN NEW.user_id % {LOST_USER} = 0 BEGIN SELECT RAISE(IGNORE); END"
    );
    database.execute_batch(&sql).unwrap();
}

struct SabotagedStore {
    inside: Arc<dyn Store>,
    mistake: Mistake,
    path: PathBuf,
}

struct SabotagedWriter {
    inside: Box<dyn Writer>,
    /// Tells where the log ends after a commit was lost.
    log: Box<dyn LogReader>,
    mistake: Mistake,
    path: PathBuf,
    /// Commits so far.
    commits: u64,
    /// Changes of users so far.
    updates: u64,
}

impl Store for SabotagedStore {
    fn migrate(&self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        self.inside.migrate()
    }

    fn open_writer(&self, now_ms: i64) -> LocalBoxFuture<'_, Result<Opened, StoreError>> {
        async move {
            let opened = self.inside.open_writer(now_ms).await?;
            let log = self.inside.open_log_reader().await?;
            let (mistake, path) = (self.mistake, self.path.clone());
            let inside = opened.writer;
            let writer = SabotagedWriter { inside, log, mistake, path, commits: 0, updates: 0 };
            Ok(Opened { writer: Box::new(writer), ..opened })
        }
        .boxed_local()
    }

    fn open_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn Reader>, StoreError>> {
        self.inside.open_reader()
    }

    fn open_log_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogReader>, StoreError>> {
        self.inside.open_log_reader()
    }

    fn watch_log(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogWatch>, StoreError>> {
        self.inside.watch_log()
    }

    fn is_damaged(&self) -> bool {
        self.inside.is_damaged()
    }

    fn trouble(&self) -> Option<&'static str> {
        self.inside.trouble()
    }
}

impl Writer for SabotagedWriter {
    fn commit(
        &mut self,
        changes: Vec<Change>,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Committed, StoreError>> {
        async move {
            self.commits += 1;
            match self.mistake {
                Mistake::LoseCommits if self.commits.is_multiple_of(LOST_COMMIT) => {
                    self.lose(changes, now_ms).await
                }
                Mistake::DoubleChanges => self.double(changes, now_ms).await,
                Mistake::ForgetKeys => self.inside.commit(without_keys(changes), now_ms).await,
                _ => self.inside.commit(changes, now_ms).await,
            }
        }
        .boxed_local()
    }

    fn hear_follower(
        &mut self,
        place: FollowerPlace,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Head, StoreError>> {
        self.inside.hear_follower(place, now_ms)
    }

    fn follow_others(
        &mut self,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Option<Head>, StoreError>> {
        self.inside.follow_others(now_ms)
    }

    fn keep_mark(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        self.inside.keep_mark()
    }

    fn claim_lease(&mut self, claim: LeaseClaim) -> LocalBoxFuture<'_, Result<Lease, StoreError>> {
        self.inside.claim_lease(claim)
    }

    fn prune(
        &mut self,
        retention: Retention,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Pruned, StoreError>> {
        self.inside.prune(retention, now_ms)
    }

    fn probe(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        self.inside.probe()
    }

    fn close(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StoreError>> {
        self.inside.close()
    }
}

/// What a commit writes.
const TABLES: [&str; 5] =
    ["users", "user_log", "users_checksum", "idempotency_keys", "sqlite_sequence"];

impl SabotagedWriter {
    /// Answers as if the changes were made, and puts everything back.
    async fn lose(&mut self, changes: Vec<Change>, now_ms: i64) -> Result<Committed, StoreError> {
        let database = Connection::open(&self.path).unwrap();
        database.busy_timeout(Duration::from_secs(5)).unwrap();
        for table in TABLES {
            let sql = format!("CREATE TEMP TABLE kept_{table} AS SELECT * FROM main.{table}");
            database.execute_batch(&sql).unwrap();
        }
        let Committed { outcomes, .. } = self.inside.commit(changes, now_ms).await?;
        let back = TABLES.map(|table| {
            format!(
                "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM kept_{table};"
            )
        });
        database.execute_batch(&format!("BEGIN IMMEDIATE; {} COMMIT;", back.concat())).unwrap();
        let head: Head = self.log.find_head().await?;
        Ok(Committed { outcomes, head })
    }

    /// Follows some changes of users by one that is undone again, so that the user looks the same
    /// and has changed more often than anybody asked for.
    async fn double(&mut self, changes: Vec<Change>, now_ms: i64) -> Result<Committed, StoreError> {
        let Committed { mut outcomes, mut head } =
            self.inside.commit(changes.clone(), now_ms).await?;
        for (change, outcome) in changes.iter().zip(&mut outcomes) {
            let (Change::Update(_), Ok(written)) = (change, &*outcome) else { continue };
            self.updates += 1;
            if !self.updates.is_multiple_of(DOUBLED_CHANGE) {
                continue;
            }
            let user = written.user.clone();
            let again = [format!("{}x", user.id), user.username].map(|name| {
                Change::Update(UpdateUser {
                    id: user.id,
                    username: Some(Username::parse(&name).unwrap()),
                    password: None,
                    precondition: Precondition::None,
                    traceparent: None,
                })
            });
            let committed = self.inside.commit(again.into(), now_ms).await?;
            head = committed.head;
            if let Some(last @ Ok(_)) = committed.outcomes.into_iter().next_back() {
                *outcome = last;
            }
        }
        Ok(Committed { outcomes, head })
    }
}

fn without_keys(changes: Vec<Change>) -> Vec<Change> {
    let without_key = |change| match change {
        Change::Create(mut create) => {
            create.idempotency = None;
            Change::Create(create)
        }
        other => other,
    };
    changes.into_iter().map(without_key).collect()
}
