//! The most frequent code paths, each run a given number of times in this process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use auth_service::store::ProjectionStore;
use clap::{Parser, ValueEnum};
use contract::{
    Cursor, EventKind, Incarnation, LogRecord, Position, SealedHash, SentRecord, UserChange,
    UserId, UserState,
};
use serde_json::{Value, json};
use shared::bus::cloud_event::Codec;
use shared::bus::{Delivery, Destination, InProcessBus, Outgoing};
use shared::capacity::Capacity;
use shared::clock::Clock;
use shared::log_sync::{Effect, Follower, record_hash};
use shared::secrets::SealingKeys;
use standalone::{Config, start};

/// Records that are applied together.
const BATCH: u64 = 50;
const TIME_MS: i64 = 1_700_000_000_000;
/// Under valgrind everything is slow.
const PATIENCE: Duration = Duration::from_mins(1);

/// Long enough that nothing is written any more: each run counts exactly the same path.
const SETTLED: Duration = Duration::from_secs(3);

/// A hot path.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HotPath {
    /// `GET /users/{id}`, from the socket to the socket
    ReadUser,
    /// `GET /verify` of a live token, from the socket to the socket
    VerifyToken,
    /// A record, from the follower to the projection's file
    ApplyEvent,
    /// A record as the message that carries it
    EncodeEvent,
}

impl HotPath {
    pub(crate) const ALL: [Self; 4] =
        [Self::ReadUser, Self::VerifyToken, Self::ApplyEvent, Self::EncodeEvent];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadUser => "read-user",
            Self::VerifyToken => "verify-token",
            Self::ApplyEvent => "apply-event",
            Self::EncodeEvent => "encode-event",
        }
    }

    /// Runs the path this many times.
    pub(crate) async fn go(self, times: u64) {
        let directory = tempfile::tempdir().unwrap();
        match self {
            Self::ReadUser | Self::VerifyToken => self.ask(times, directory.path()).await,
            Self::ApplyEvent => apply(times, directory.path()),
            Self::EncodeEvent => encode(times),
        }
    }

    /// Sends requests to a standalone system that runs in this process.
    async fn ask(self, times: u64, directory: &Path) {
        let bus = Arc::new(InProcessBus::new());
        let running = start(&settings(directory), SMALL, bus, Clock::system()).await.unwrap();
        let (users, auth) = (running.user_service_address(), running.auth_service_address());
        let written = create(users).await;
        let request = match self {
            Self::VerifyToken => {
                let token = log_in(auth, &written).await;
                format!("GET /verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n")
            }
            _ => "GET /users/1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        };
        tokio::time::sleep(SETTLED).await;
        let at = if matches!(self, Self::VerifyToken) { auth } else { users };
        let asking = tokio::task::spawn_blocking(move || ask_again_and_again(at, &request, times));
        asking.await.unwrap();
        running.stop().await;
    }
}

/// One thread each, so that the counts do not depend on the machine.
pub(crate) const SMALL: Capacity = Capacity { http_workers: 1, connections: 1024, hash_threads: 1 };

pub(crate) fn settings(directory: &Path) -> Config {
    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        config: Config,
    }
    let free = "127.0.0.1:0";
    let directory = directory.to_str().unwrap();
    // Very cheap hashing.
    let settings = Settings::parse_from([
        "hot-path",
        "--data-dir",
        directory,
        "--user-service-listen",
        free,
        "--auth-service-listen",
        free,
        "--argon2-memory-kib",
        "64",
        "--login-wait",
        "60s",
    ]);
    settings.config
}

/// Creates a user, and returns the write's consistency token.
pub(crate) async fn create(at: SocketAddr) -> String {
    let request = awc::Client::new().post(format!("http://{at}/users"));
    let answer = request.force_close().send_json(&credentials()).await.unwrap();
    answer.headers().get("consistency-token").unwrap().to_str().unwrap().to_owned()
}

/// Logs in once, when the user has arrived: a varying number of attempts would change the counts.
async fn log_in(at: SocketAddr, written: &str) -> String {
    let request =
        awc::Client::builder().timeout(PATIENCE).finish().post(format!("http://{at}/login"));
    let request = request.insert_header(("consistency-token", written)).force_close();
    let mut answer = request.send_json(&credentials()).await.unwrap();
    let body: Value = answer.json().await.unwrap();
    body["token"].as_str().unwrap().to_owned()
}

fn credentials() -> Value {
    json!({ "username": "testuser", "password": "testpassword" })
}

fn ask_again_and_again(at: SocketAddr, request: &str, times: u64) {
    let mut connection = TcpStream::connect(at).unwrap();
    let mut answer = [0; 4096];
    for _ in 0..times {
        connection.write_all(request.as_bytes()).unwrap();
        let count = connection.read(&mut answer).unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
    }
}

fn apply(times: u64, directory: &Path) {
    let mut store = ProjectionStore::open(directory.join("projection.db")).unwrap();
    let incarnation = Incarnation([7; 16]);
    let cursor = Cursor { incarnation, ..Cursor::default() };
    let mut follower = Follower::new(cursor, "bench".into(), "nobody".into());
    let (codec, mut log) = (codec(), records());
    for _ in 0..times.div_ceil(BATCH) {
        let (mut batch, mut last) = (Vec::new(), cursor);
        for sent in log.by_ref().take(usize::try_from(BATCH).unwrap()) {
            let delivery = delivered(codec.encode_event(&sent, incarnation));
            let input = codec.decode_event(&delivery).unwrap().input;
            for effect in follower.step(input) {
                let Effect::Apply(records, cursor) = effect else { panic!("{effect:?}") };
                batch.extend(records);
                last = cursor;
            }
        }
        store.apply(&batch, &last).unwrap();
    }
}

fn encode(times: u64) {
    let (codec, record) = (codec(), records().next().unwrap());
    let incarnation = Incarnation([7; 16]);
    for _ in 0..times {
        let outgoing = codec.encode_event(&record, incarnation);
        assert!(std::hint::black_box(outgoing).message.is_persistent);
    }
}

fn codec() -> Codec {
    Codec::new(Arc::new(SealingKeys::parse(&SealingKeys::generate()).unwrap()))
}

fn delivered(Outgoing { to, message }: Outgoing) -> Delivery {
    let routing_key = match to {
        Destination::Topic { routing_key, .. } => routing_key,
        Destination::Queue(name) => name,
    };
    Delivery { message, routing_key, is_redelivered: false, tag: 1 }
}

/// An endless log: users are created one after another.
fn records() -> impl Iterator<Item = SentRecord> {
    let mut end = Position::default();
    (1..).map(move |seq| {
        let name = format!("user{seq}");
        let (username, username_key) = (name.clone(), name);
        let state = UserState {
            username,
            username_key,
            version: 1,
            password_version: 1,
            stamp: None,
            is_admin: false,
        };
        let change = UserChange { id: UserId(seq), user: Some(state), written_by: None };
        let (kind, data) = (EventKind::CREATED, serde_json::to_string(&change).unwrap());
        let prev_hash = end.hash;
        let hash = record_hash(prev_hash, seq, &kind, TIME_MS, &data);
        let position = Position { seq, hash };
        end = position;
        let (recorded_at_ms, traceparent) = (TIME_MS, None);
        let record = LogRecord { position, prev_hash, kind, recorded_at_ms, traceparent, data };
        let sealed_hash = Some(SealedHash::new(format!("v2.key.{}", "x".repeat(170))));
        SentRecord { record, sealed_hash }
    })
}
