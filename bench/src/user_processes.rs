//! Processes of user_service on one PostgreSQL, with a private RabbitMQ and an auth_service.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;

use crate::system::{self, Seq, Service, binary, make_users};

/// The time limit for waiting until auth_service has everything.
const BOUND: Duration = Duration::from_mins(1);

pub(crate) struct UserProcesses {
    pub(crate) processes: Vec<Service>,
    pub(crate) broker: RabbitMq,
    pub(crate) database: Postgres,
    _auth_service: Service,
    directory: TempDir,
}

impl UserProcesses {
    /// Starts one process with this number of users, which are moved from SQLite. `prepare` gets the
    /// database before anybody uses it.
    pub(crate) async fn start<T>(users: i64, prepare: impl FnOnce(&Postgres) -> T) -> (Self, T) {
        let directory = tempfile::tempdir().unwrap();
        let (broker, database) = (RabbitMq::start().await, Postgres::start_durable().await);
        let sqlite = make_users(&directory.path().join("before"), &broker.url(), users).await;
        move_users(&sqlite, &database);
        let prepared = prepare(&database);
        let process = start_process(directory.path(), &broker, &database).await;
        let auth_service = Service::start("auth_service", directory.path(), &broker.url()).await;
        let processes = vec![process];
        let system = Self { processes, broker, database, _auth_service: auth_service, directory };
        (system, prepared)
    }

    /// Starts and stops processes until there are so many.
    pub(crate) async fn set_number(&mut self, number: usize) {
        while self.processes.len() < number {
            let (directory, broker) = (self.directory.path(), &self.broker);
            self.processes.push(start_process(directory, broker, &self.database).await);
        }
        self.processes.drain(number..).for_each(|mut process| process.stop());
    }

    /// Takes the process that publishes the log out.
    pub(crate) async fn take_publisher(&mut self) -> Service {
        let started = Instant::now();
        loop {
            for (n, process) in self.processes.iter().enumerate() {
                if process.metric("lockstep_user_log_publisher").await == Some(1.0) {
                    return self.processes.remove(n);
                }
            }
            assert!(started.elapsed() < BOUND, "no process publishes");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The end of the log.
    pub(crate) fn head(&self) -> i64 {
        self.database.sql("SELECT coalesce(max(seq), 0) FROM user_log").parse().unwrap()
    }

    /// The applied position, read from auth_service's file.
    pub(crate) fn applied(&self) -> Seq {
        system::applied(self.directory.path())
    }

    /// Waits until auth_service has applied the whole log.
    pub(crate) async fn level(&self) {
        let (head, applied, started) = (self.head(), self.applied(), Instant::now());
        while applied.read() < head {
            assert!(started.elapsed() < BOUND, "auth_service does not catch up");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// They share a data directory, in which each takes a place.
async fn start_process(directory: &Path, broker: &RabbitMq, database: &Postgres) -> Service {
    let settings = [("AMQP_URL", &*broker.url()), ("DATABASE_URL", &*database.url())];
    Service::start_with("user_service", directory, &settings).await
}

fn move_users(sqlite: &Path, database: &Postgres) {
    let status = Command::new(binary("user_service"))
        .args(["move", "--from"])
        .arg(sqlite)
        .env_clear()
        .env("DATA_DIR", sqlite.parent().unwrap())
        .env("DATABASE_URL", database.url())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "the users were not moved: {status}");
}
