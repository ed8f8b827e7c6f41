//! The service under test, with its verbs as methods.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use awc::http::{Method, StatusCode, header::HeaderMap};
use clap::Parser;
use contract::LogRecord;
use futures_util::FutureExt;
use serde_json::{Value, json};
use shared::bus::{Bus, InProcessBus};
use shared::capacity::Capacity;
use shared::clock::Clock;
use shared::hashing::{HashParams, HashingConfig, HashingMetrics, HashingThreads};
use shared::secrets::DataLayout;
use shared::telemetry::registry_of;
use tempfile::TempDir;
use user_service::config::Config;
use user_service::store;
use user_service::{AuthServiceAddress, Deps, Running, StartError, claim, start};

pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    pub(crate) directory: Arc<TempDir>,
    running: Running,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// What a test may choose.
pub(crate) struct Setup {
    pub(crate) directory: Arc<TempDir>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) flags: Vec<&'static str>,
    /// The file `url` in the directory has DATABASE_URL.
    pub(crate) has_url_file: bool,
    pub(crate) hashing: HashingConfig,
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

impl Default for Setup {
    fn default() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let (bus, hashing) = (Arc::new(InProcessBus::new()), CHEAP);
        Self { directory, bus, flags: vec![], has_url_file: false, hashing }
    }
}

impl Setup {
    pub(crate) async fn try_start(self) -> Result<TestApp, StartError> {
        let directory = self.directory.path().to_str().unwrap().to_owned();
        let mut arguments = vec!["user_service", "--data-dir", &directory];
        if !self.flags.contains(&"--user-service-listen") {
            arguments.extend(["--user-service-listen", "127.0.0.1:0"]);
        }
        arguments.extend(&self.flags);
        let url_file = format!("{directory}/url");
        if self.has_url_file {
            arguments.extend(["--database-url-file", &url_file]);
        }
        let config = Cli::parse_from(arguments).config;
        let mut registry = registry_of("user_service");
        let metrics = HashingMetrics::register(&mut registry);
        let hashing = HashingThreads::start(self.hashing, metrics).unwrap();
        let place = claim(&config, DataLayout::Whole).await?;
        let store = config.store(&place.directory).unwrap();
        let capacity = Capacity { http_workers: 2, connections: 1024, hash_threads: 1 };
        let auth_service = AuthServiceAddress::from(config.service.auth_service_url.clone());
        let deps = Deps {
            place,
            store,
            bus: self.bus,
            hashing,
            capacity,
            clock: Clock::system(),
            registry,
            auth_service,
        };
        let running = start(config, deps).await?;
        Ok(TestApp { address: running.address, directory: self.directory, running })
    }

    pub(crate) async fn start(self) -> TestApp {
        self.try_start().await.unwrap()
    }
}

/// What hashes cost is mostly not tested.
const CHEAP: HashingConfig = HashingConfig {
    params: HashParams { memory_kib: 64, iterations: 1, parallelism: 1 },
    threads: 2,
    queue: 128,
};

impl TestApp {
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    pub(crate) async fn stop(self) -> Arc<TempDir> {
        self.running.stop().await;
        self.directory
    }

    /// Any request.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request =
            awc::Client::new().request(method, format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let mut response = request.no_decompress().send_body(body.into()).await.unwrap();
        let body = response.body().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn send_json(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.send(method, path, &headers, body.to_string()).await
    }

    pub(crate) async fn post(&self, body: &Value) -> Answer {
        self.send_json("POST", "/users", &[], body).await
    }

    pub(crate) async fn put(&self, id: i64, body: &Value) -> Answer {
        self.send_json("PUT", &format!("/users/{id}"), &[], body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// The user's present entity tag, in its quotes.
    pub(crate) async fn tag(&self, id: i64) -> String {
        self.get(&format!("/users/{id}")).await.header("etag").to_owned()
    }

    pub(crate) async fn delete(&self, id: i64) -> Answer {
        self.send("DELETE", &format!("/users/{id}"), &[], "").await
    }

    /// Creates a user with the password `testpassword`; the id.
    pub(crate) async fn create(&self, name: &str) -> i64 {
        let answer = self.post(&json!({"username": name, "password": "testpassword"})).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["id"].as_i64().unwrap()
    }

    /// The value of `Authorization` with the token of the first administrator.
    pub(crate) fn admin(&self) -> String {
        let token = std::fs::read_to_string(self.directory.path().join("admin.token")).unwrap();
        format!("Bearer {token}")
    }

    pub(crate) fn records(&self) -> Vec<LogRecord> {
        records(self.directory.path())
    }
}

/// All records of the log in this directory.
pub(crate) fn records(directory: &Path) -> Vec<LogRecord> {
    let store = store::in_file(directory.join("users.db"));
    // A database in a file answers at once.
    let reader = store.open_log_reader().now_or_never().unwrap().unwrap();
    let found = reader.list_records(0, 100_000).now_or_never().unwrap().unwrap();
    found.records.into_iter().map(|stored| stored.record).collect()
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// It must be this problem, as RFC 9457 and this service write it.
    pub(crate) fn assert_problem(&self, status: u16, slug: &str) {
        let context = format!("{} {}", self.status, self.text);
        assert_eq!(self.status, status, "{context}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{context}");
        assert!(!self.header("x-request-id").is_empty());
        let document = self.json();
        assert_eq!(document["type"], format!("/problems/{slug}"), "{context}");
        assert_eq!(document["status"], status, "{context}");
        for member in ["title", "detail"] {
            assert!(!document[member].as_str().unwrap().is_empty(), "{context}");
        }
        assert!(StatusCode::from_u16(self.status).is_ok());
    }

    /// The members at fault.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let document = self.json();
        let errors = document["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}
