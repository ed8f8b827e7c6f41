//! How long an auth_service that has nothing takes to hold all users of a user_service, and what
//! memory that takes: both as processes, over a RabbitMQ of their own.
//!
//! `cargo build --release -p user_service -p auth_service`, then
//! `cargo run --release -p standalone --example cold_start -- 100000`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement: a panic ends it, and it has no settings"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};
use shared::testkit::rabbitmq::RabbitMq;
use shared::testkit::service_process::ServiceProcess;
use shared::testkit::wait::until;

/// 32 bytes: the services have no directory in common.
const SEALING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const BOUND: Duration = Duration::from_mins(5);
const PASSWORD: &str = "testpassword";

/// The binaries that were built beside this one, and where they work.
struct Bench {
    binaries: PathBuf,
    directory: tempfile::TempDir,
    broker: RabbitMq,
}

impl Bench {
    fn start(&self, service: &str) -> ServiceProcess {
        let data_dir = self.directory.path().join(service);
        let settings = [
            ("AMQP_URL", &*self.broker.url()),
            ("DATA_DIR", data_dir.to_str().unwrap()),
            ("SEALING_KEY", SEALING_KEY),
            ("USER_SERVICE_LISTEN", "127.0.0.1:0"),
            ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
        ];
        ServiceProcess::start(&self.binaries.join(service), &settings)
    }
}

#[actix_web::main]
async fn main() {
    let users: i64 = std::env::args().nth(1).map_or(100_000, |text| text.parse().unwrap());
    let binaries = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench { binaries, directory, broker: RabbitMq::start().await };

    let user_service = bench.start("user_service");
    let url = format!("http://{}/users", user_service.address_of("user_service"));
    assert_eq!(post(&url, "user1").await, 201);
    user_service.stop();
    multiply(&bench.directory.path().join("user_service/users.db"), users);

    let user_service = bench.start("user_service");
    let users_url = format!("http://{}", user_service.address_of("user_service"));
    let at_rest_kib = user_service.peak_memory_kib();
    let started_at = Instant::now();
    let auth_service = bench.start("auth_service");
    let auth_url = format!("http://{}", auth_service.address_of("auth_service"));
    let first_kib = auth_service.peak_memory_kib();
    let mut reasons: Vec<String> = Vec::new();
    until("auth_service is ready", BOUND, async || {
        let lines = auth_service.take_log().into_iter().chain(user_service.take_log());
        for line in lines.filter(|line| !line.contains("readyz")) {
            println!("{:>6.2?} {line}", started_at.elapsed());
        }
        let (status, body) = get(&format!("{auth_url}/readyz")).await;
        let document: Value = serde_json::from_str(&body).unwrap();
        let reason = document["reasons"][0].as_str().unwrap_or_default().to_owned();
        if reasons.last() != Some(&reason) {
            reasons.push(reason);
        }
        (status == 200).then_some(())
    })
    .await;
    let elapsed = started_at.elapsed();
    println!("{users} users: ready after {elapsed:.2?}");
    for (name, process, before) in
        [("user_service", &user_service, at_rest_kib), ("auth_service", &auth_service, first_kib)]
    {
        println!(
            "{name}: at most {} MiB, {} MiB before",
            process.peak_memory_kib() / 1024,
            before / 1024
        );
    }
    println!("what /readyz said first: {:#?}", &reasons[..reasons.len().min(3)]);
    let (there, here) = (digest(&users_url).await, digest(&auth_url).await);
    println!("user_service: {there}\nauth_service: {here}");
    assert_eq!(there, here);
    assert_eq!(post(&format!("{auth_url}/login"), &format!("user{users}")).await, 200);
    user_service.stop();
    auth_service.stop();
}

/// Makes so many users of the one, as if the log of their creation had been pruned.
fn multiply(database: &Path, users: i64) {
    let sql = format!(
        "BEGIN;
         INSERT INTO users (username, username_key, password_hash, version, password_version)
             WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {users})
             SELECT 'user' || i, 'user' || i, (SELECT password_hash FROM users), 1, 1 FROM n;
         DELETE FROM user_log;
         UPDATE log_start SET seq = {users}, chain = randomblob(16);
         UPDATE published SET seq = {users};
         DELETE FROM users_digest;
         COMMIT;"
    );
    Connection::open(database).unwrap().execute_batch(&sql).unwrap();
}

async fn post(url: &str, username: &str) -> u16 {
    let body = json!({ "username": username, "password": PASSWORD });
    awc::Client::new().post(url).force_close().send_json(&body).await.unwrap().status().as_u16()
}

async fn get(url: &str) -> (u16, String) {
    let mut response = awc::Client::new().get(url).force_close().send().await.unwrap();
    let body = response.body().await.unwrap();
    (response.status().as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

async fn digest(service: &str) -> String {
    let (_, metrics) = get(&format!("{service}/metrics")).await;
    metrics.lines().find(|line| line.starts_with("users_digest_info")).unwrap().to_owned()
}
