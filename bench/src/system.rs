//! Lockstep as in production: two processes, with a private RabbitMQ between them.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use awc::http::StatusCode;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::rabbitmq::{RabbitMq, free_port};

/// 32 bytes: the services share no directory.
const SEALING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// The password of every user.
const PASSWORD: &str = "testpassword";
/// The time limit for every wait.
const BOUND: Duration = Duration::from_mins(3);
/// More than any backlog here: a follower that is less behind gets records instead of a snapshot.
const REPLAY_LIMIT: &str = "1000000";

/// How many passwords may wait: the default, set explicitly.
pub(crate) const HASH_QUEUE: u32 = 128;

/// Linux's unit of processor time (`sysconf(_SC_CLK_TCK)`).
const TICKS_PER_S: u64 = 100;

/// A running binary; dropping it kills it.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    child: Child,
    pub(crate) address: SocketAddr,
    /// The time from its start to its first 200 at `/readyz`.
    pub(crate) ready_after: Duration,
}

/// Both services with this number of users.
pub(crate) struct System {
    pub(crate) users: i64,
    pub(crate) broker: RabbitMq,
    pub(crate) user_service: Service,
    pub(crate) auth_service: Service,
    pub(crate) directory: TempDir,
}

impl System {
    /// Starts it, and waits until auth_service has all users.
    pub(crate) async fn start(users: i64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = RabbitMq::start().await;
        let url = broker.url();
        make_users(directory.path(), &url, users).await;
        let user_service = Service::start("user_service", directory.path(), &url).await;
        let auth_service = Service::start("auth_service", directory.path(), &url).await;
        Self { users, broker, user_service, auth_service, directory }
    }

    /// Stops both services and starts them again on their files.
    pub(crate) async fn restart(&mut self) {
        let (directory, url) = (self.directory.path(), self.broker.url());
        for service in [&mut self.user_service, &mut self.auth_service] {
            service.stop();
            *service = Service::start(service.name, directory, &url).await;
        }
    }

    /// A token of the first user.
    pub(crate) async fn token(&self) -> String {
        token(self.auth_service.address).await
    }

    /// The end of the log, read from user_service's file.
    pub(crate) fn head(&self) -> Seq {
        let path = self.directory.path().join("user_service/users.db");
        Seq::open(&path, "SELECT coalesce(max(seq), 0) FROM user_log")
    }

    /// The applied position, read from auth_service's file.
    pub(crate) fn applied(&self) -> Seq {
        applied(self.directory.path())
    }

    /// Waits until auth_service has applied the whole log.
    pub(crate) async fn level(&self) {
        let (head, applied) = (self.head(), self.applied());
        let started = Instant::now();
        while applied.read() < head.read() {
            assert!(started.elapsed() < BOUND, "auth_service does not catch up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The applied position of the auth_service that has its data in this directory.
pub(crate) fn applied(directory: &Path) -> Seq {
    let path = directory.join("auth_service/replica-1/projection.db");
    Seq::open(&path, "SELECT coalesce(max(seq), 0) FROM projection_cursor")
}

/// A number in a database that a service writes to.
pub(crate) struct Seq {
    connection: Connection,
    sql: &'static str,
}

impl Seq {
    fn open(path: &Path, sql: &'static str) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        Self { connection, sql }
    }

    pub(crate) fn read(&self) -> i64 {
        let mut statement = self.connection.prepare_cached(self.sql).unwrap();
        statement.query_row([], |row| row.get(0)).unwrap()
    }
}

impl Service {
    /// Starts the binary that was built beside this one, and waits until it is ready. Its log goes
    /// to a file, as in production.
    pub(crate) async fn start(name: &'static str, directory: &Path, amqp_url: &str) -> Self {
        Self::start_with(name, directory, &[("AMQP_URL", amqp_url)]).await
    }

    /// The same with these settings.
    pub(crate) async fn start_with(
        name: &'static str,
        directory: &Path,
        settings: &[(&str, &str)],
    ) -> Self {
        let data_dir = directory.join(name);
        fs::create_dir_all(&data_dir).unwrap();
        let log = File::options().create(true).append(true).open(data_dir.join("log")).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let started = Instant::now();
        let child = Command::new(binary(name))
            .env_clear()
            .env("DATA_DIR", &data_dir)
            .env("SEALING_KEY", SEALING_KEY)
            .env("USER_SERVICE_LISTEN", address.to_string())
            .env("AUTH_SERVICE_LISTEN", address.to_string())
            .env("HASH_QUEUE", HASH_QUEUE.to_string())
            .env("SYNC_REPLAY_LIMIT", REPLAY_LIMIT)
            .envs(settings.iter().copied())
            .stdout(log)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut service = Self { name, child, address, ready_after: Duration::ZERO };
        service.wait_until_ready(started).await;
        service.ready_after = started.elapsed();
        service
    }

    async fn wait_until_ready(&mut self, started: Instant) {
        let url = format!("http://{}/readyz", self.address);
        loop {
            let status = awc::Client::new().get(&url).force_close().send().await;
            if status.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "{} has ended", self.name);
            assert!(started.elapsed() < BOUND, "{} does not become ready", self.name);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Sends SIGTERM, and waits for the end.
    pub(crate) fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{} ended with {status}", self.name);
    }

    /// Ends it as a crash would (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The value that it shows at `/metrics` under this name, if it does already.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.address);
        let mut answer = awc::Client::new().get(url).force_close().send().await.unwrap();
        let text = answer.body().await.unwrap();
        let text = String::from_utf8_lossy(&text);
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value)
    }

    /// Its memory now, in MiB.
    pub(crate) fn memory_mib(&self) -> f64 {
        self.status_kib("VmRSS:") / 1024.0
    }

    /// The most memory since the last [`Self::forget_peak`], in MiB.
    pub(crate) fn peak_memory_mib(&self) -> f64 {
        self.status_kib("VmHWM:") / 1024.0
    }

    /// proc(5), `/proc/pid/clear_refs`: 5 sets the peak to the present.
    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// The processor time of all its threads except those that hash.
    pub(crate) fn cpu_beside_hashing(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let ticks: u64 = tasks.map(|task| ticks_of(&task.unwrap().path())).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_S)
    }

    fn status_kib(&self, label: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(label)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// User and system time of one thread, unless it hashes (proc(5), `/proc/pid/task/tid/stat`).
fn ticks_of(task: &Path) -> u64 {
    let Ok(stat) = fs::read_to_string(task.join("stat")) else { return 0 };
    let (name, fields) = stat.split_once(") ").unwrap();
    if name.contains("(hash-") {
        return 0;
    }
    // The fields after the name begin with the third field.
    let time = |field: usize| fields.split(' ').nth(field - 3).unwrap().parse::<u64>().unwrap();
    time(14) + time(15)
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary that was built beside this one.
pub(crate) fn binary(name: &str) -> PathBuf {
    let path = std::env::current_exe().unwrap().with_file_name(name);
    assert!(path.exists(), "{} is missing: scripts/bench.sh builds it", path.display());
    path
}

/// Makes `user_service/users.db` in this directory, with this number of users.
pub(crate) async fn make_users(directory: &Path, amqp_url: &str, users: i64) -> PathBuf {
    let mut service = Service::start("user_service", directory, amqp_url).await;
    let created = post(service.address, "/users", "user1").await;
    assert_eq!(created.0, 201, "{}", created.1);
    service.stop();
    let database = directory.join("user_service/users.db");
    multiply(&database, users);
    database
}

/// Copies one user until there are this many, as if the log of their creation had been pruned. Whatever
/// columns a user has, only the id and the names differ.
fn multiply(database: &Path, users: i64) {
    let sql = format!(
        "BEGIN;
         CREATE TEMP TABLE copies AS
             WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {users})
             SELECT users.* FROM users, n;
         UPDATE copies SET id = rowid + 1, username = 'user' || (rowid + 1),
             username_key = 'user' || (rowid + 1);
         INSERT INTO users SELECT * FROM copies;
         DELETE FROM user_log;
         UPDATE log_start SET seq = {users}, hash = randomblob(16);
         UPDATE published SET seq = {users};
         DELETE FROM users_checksum;
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);"
    );
    Connection::open(database).unwrap().execute_batch(&sql).unwrap();
}

/// Sends a name with the common password.
pub(crate) async fn post(at: SocketAddr, path: &str, username: &str) -> (u16, Value) {
    let request = awc::Client::new().post(format!("http://{at}{path}"));
    let body = json!({ "username": username, "password": PASSWORD });
    let mut answer = request.force_close().send_json(&body).await.unwrap();
    let body = answer.body().await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default())
}

/// A token of the first user.
pub(crate) async fn token(auth: SocketAddr) -> String {
    let (status, answer) = post(auth, "/login", "user1").await;
    assert_eq!(status, 200, "{answer}");
    answer["token"].as_str().unwrap().to_owned()
}

/// Waits until a login of this user is answered with this status.
pub(crate) async fn until_login_gives(auth: SocketAddr, username: &str, status: u16) {
    let started = Instant::now();
    while post(auth, "/login", username).await.0 != status {
        assert!(started.elapsed() < BOUND, "{username} does not log in with {status}");
    }
}

/// Changes a user's name.
pub(crate) async fn rename(at: SocketAddr, id: i64, username: &str) {
    let request = awc::Client::new().put(format!("http://{at}/users/{id}"));
    let body = json!({ "username": username });
    let answer = request.force_close().send_json(&body).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

/// Waits until the port accepts connections.
pub(crate) fn wait_for_port(address: SocketAddr) {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(started.elapsed() < BOUND, "nobody listens on {address}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot_paths::{SMALL, create, settings};
    use shared::bus::InProcessBus;
    use shared::clock::Clock;
    use std::sync::Arc;

    #[actix_web::test]
    async fn a_user_of_today_is_copied() {
        let directory = tempfile::tempdir().unwrap();
        let (settings, bus) = (settings(directory.path()), Arc::new(InProcessBus::new()));
        let running = standalone::start(&settings, SMALL, bus, Clock::system()).await.unwrap();
        create(running.user_service_address()).await;
        running.stop().await;
        let database = directory.path().join("users.db");
        multiply(&database, 3);
        let database = Connection::open(database).unwrap();
        let sql = "SELECT group_concat(id || username || username_key || length(password_hash)) FROM users";
        let users: String = database.query_row(sql, [], |row| row.get(0)).unwrap();
        let hash =
            users.split(',').next().unwrap().trim_start_matches("1testusertestuser").to_owned();
        assert_eq!(users, format!("1testusertestuser{hash},2user2user2{hash},3user3user3{hash}"));
    }
}
