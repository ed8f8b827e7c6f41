//! The production `start` on a free port.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use auth_service::config::Config;
use auth_service::{Deps, Running, start};
use awc::http::{Method, StatusCode};
use clap::Parser;
use serde_json::{Value, json};
use shared::bus::{Bus, InProcessBus};
use shared::capacity::Capacity;
use shared::clock::Clock;
use shared::hashing::{HashingConfig, HashingMetrics, HashingThreads};
use shared::secrets::DataLayout;
use shared::telemetry::registry_of;
use tempfile::TempDir;
use testkit::wait::until;

use crate::user_service::{PARAMS, UserService};

/// How long a state may take to come about.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// The service under test with its surroundings. End a test with [`TestApp::stop`].
pub(crate) struct TestApp {
    pub(crate) bus: InProcessBus,
    pub(crate) users: UserService,
    pub(crate) clock: Clock,
    pub(crate) dir: Rc<TempDir>,
    url: String,
    running: Running,
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: awc::http::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn token(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["token"].as_str().unwrap().to_owned()
    }

    /// The last part of the problem's type, after everything that all problems have was checked.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status);
        assert!(self.header("x-request-id").is_some());
        document["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], Clock::system()).await
    }

    /// With settings beside the default ones.
    pub(crate) async fn start_with(settings: &[&str], clock: Clock) -> Self {
        let dir = Rc::new(tempfile::tempdir().unwrap());
        let bus = InProcessBus::new();
        let users = UserService::start(&bus, dir.path()).await;
        let reached = Arc::new(bus.clone());
        let app = Self::launch(settings, clock, bus, reached, users, dir).await;
        if settings.contains(&"--sealing-key") {
            return app; // It is never ready.
        }
        until("the first sync", BOUND, async || {
            (app.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        app
    }

    /// Without an answer of user_service so far.
    pub(crate) async fn start_empty() -> Self {
        let dir = Rc::new(tempfile::tempdir().unwrap());
        let bus = InProcessBus::new();
        let users = UserService::start(&bus, dir.path()).await;
        users.set_answers(false);
        let reached = Arc::new(bus.clone());
        Self::launch(&[], Clock::system(), bus, reached, users, dir).await
    }

    /// Another one of the same name, on the same bus and with files of its own.
    pub(crate) async fn start_beside(other: &Self) -> Self {
        let dir = Rc::new(tempfile::tempdir().unwrap());
        std::fs::copy(other.dir.path().join("sealing.key"), dir.path().join("sealing.key"))
            .unwrap();
        let (bus, users, clock) = (other.bus.clone(), other.users.clone(), other.clock.clone());
        Self::launch(&[], clock, bus.clone(), Arc::new(bus), users, dir).await
    }

    /// A replica of this name, on the same bus and with files of its own.
    pub(crate) async fn start_replica(other: &Self, name: &str, reached: Arc<dyn Bus>) -> Self {
        let dir = Rc::new(tempfile::tempdir().unwrap());
        std::fs::copy(other.dir.path().join("sealing.key"), dir.path().join("sealing.key"))
            .unwrap();
        let (bus, users, clock) = (other.bus.clone(), other.users.clone(), other.clock.clone());
        Self::launch(&["--auth-replica", name], clock, bus, reached, users, dir).await
    }

    async fn launch(
        settings: &[&str],
        clock: Clock,
        bus: InProcessBus,
        reached: Arc<dyn Bus>,
        users: UserService,
        dir: Rc<TempDir>,
    ) -> Self {
        let data_dir = dir.path().to_str().unwrap().to_owned();
        let fixed = ["test", "--data-dir", &data_dir, "--auth-service-listen", "127.0.0.1:0"];
        let fixed = fixed.into_iter().chain(["--shutdown-grace", "1s"]);
        let Cli { config } = Cli::parse_from(fixed.chain(settings.iter().copied()));
        let mut registry = registry_of("auth_service");
        let metrics = HashingMetrics::register(&mut registry);
        let hashing = HashingConfig { params: PARAMS, threads: 1, queue: 64 };
        let hashing = HashingThreads::start(hashing, metrics).unwrap();
        let capacity = Capacity { http_workers: 2, connections: 1024, hash_threads: 1 };
        let (layout, there) = (DataLayout::Whole, clock.clone());
        let deps = Deps { bus: reached, hashing, capacity, layout, clock: there, registry };
        let running = start(config, deps).await.unwrap();
        let url = format!("http://{}", running.address);
        Self { bus, users, clock, dir, url, running }
    }

    /// Stops the service, does something to its files, and starts it again on them.
    pub(crate) async fn restart_after(self, meanwhile: impl FnOnce(&std::path::Path)) -> Self {
        let bus = Arc::new(self.bus.clone());
        self.restart_on(bus, meanwhile).await
    }

    /// The same with another way to the bus.
    pub(crate) async fn restart_on(
        self,
        reached: Arc<dyn Bus>,
        meanwhile: impl FnOnce(&std::path::Path),
    ) -> Self {
        self.restart_with(&[], reached, meanwhile).await
    }

    /// The same with settings beside the default ones.
    pub(crate) async fn restart_with(
        self,
        settings: &[&str],
        reached: Arc<dyn Bus>,
        meanwhile: impl FnOnce(&std::path::Path),
    ) -> Self {
        self.running.stop().await;
        meanwhile(self.dir.path());
        Self::launch(settings, self.clock, self.bus, reached, self.users, self.dir).await
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.running.address
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> awc::ClientRequest {
        // A connection for each request: none is left over when the service stops.
        awc::Client::new().request(method, format!("{}{path}", self.url)).force_close()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn login(&self, username: &str, password: &str) -> Answer {
        self.login_with(username, password, &[]).await
    }

    pub(crate) async fn login_with(
        &self,
        username: &str,
        password: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = json!({ "username": username, "password": password });
        let request = with(self.request(Method::POST, "/login"), headers);
        read(request.send_json(&body).await.unwrap()).await
    }

    pub(crate) async fn logout(&self, token: &str) -> Answer {
        self.logout_with(token, &[]).await
    }

    pub(crate) async fn logout_with(&self, token: &str, headers: &[(&str, &str)]) -> Answer {
        let request = with(self.request(Method::POST, "/logout"), headers).bearer_auth(token);
        read(request.send().await.unwrap()).await
    }

    pub(crate) async fn verify(&self, token: &str) -> Answer {
        read(self.request(Method::GET, "/verify").bearer_auth(token).send().await.unwrap()).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        read(self.request(Method::POST, "/refresh").bearer_auth(token).send().await.unwrap()).await
    }

    /// Waits until it is known that user_service is out of reach.
    pub(crate) async fn until_cut_off(&self) {
        until("user_service is known to be out of reach", BOUND, async || {
            let degraded = self.get("/readyz").await.json()["degraded"].to_string();
            degraded.contains("no answer of user_service").then_some(())
        })
        .await;
    }

    pub(crate) async fn is_alive(&self, token: &str) -> bool {
        self.verify(token).await.status == 200
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> i64 {
        let text = String::from_utf8(self.get("/metrics").await.body).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }

    /// What all users come to.
    pub(crate) async fn checksum(&self) -> String {
        let text = String::from_utf8(self.get("/metrics").await.body).unwrap();
        let (_, rest) = text.split_once("lockstep_users_checksum_info{").unwrap();
        let (_, rest) = rest.split_once("checksum=\"").unwrap();
        rest[..32].to_owned()
    }

    /// Time since the projection was known to be level.
    pub(crate) async fn lag_seconds(&self) -> f64 {
        let text = String::from_utf8(self.get("/metrics").await.body).unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix("lockstep_projection_lag_seconds "));
        line.unwrap().parse().unwrap()
    }

    /// Waits until everything that user_service has committed is applied.
    pub(crate) async fn until_applied(&self) {
        let seq = self.users.seq();
        until("the projection has caught up", BOUND, async || {
            (self.metric("lockstep_projection_seq").await == seq).then_some(())
        })
        .await;
    }

    /// Publishes the last change, and waits for it.
    pub(crate) async fn bring(&self) {
        self.users.publish_last().await;
        self.until_applied().await;
    }

    /// Creates a first user, and waits until events arrive: the service is ready a moment before its
    /// queue is bound, and what is published meanwhile reaches nobody.
    pub(crate) async fn until_events_arrive(&self) {
        self.users.create("first", "testpassword");
        self.bring().await;
        until("an event arrives", BOUND, async || {
            self.users.publish_last().await;
            (self.metric("lockstep_projection_duplicates_total").await > 0).then_some(())
        })
        .await;
    }
}

fn with(mut request: awc::ClientRequest, headers: &[(&str, &str)]) -> awc::ClientRequest {
    for header in headers {
        request = request.append_header(*header);
    }
    request
}

pub(crate) async fn read<S>(mut response: awc::ClientResponse<S>) -> Answer
where
    S: futures_util::Stream<Item = Result<bytes::Bytes, awc::error::PayloadError>> + Unpin,
{
    let body = response.body().await.unwrap().to_vec();
    let status: StatusCode = response.status();
    Answer { status: status.as_u16(), headers: response.headers().clone(), body }
}
