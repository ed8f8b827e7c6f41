//! What the services do while their disk is full: from the very first start, at a later start, and
//! while they run.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use awc::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::service_process::ServiceProcess;
use testkit::wait::until;

use crate::degraded::{BOUND, call};
use crate::disk::SmallDisk;
use crate::rig::{Rig, Side};

/// The standalone binary on a disk that can be full.
pub(crate) struct Site {
    process: Option<ServiceProcess>,
    users: SocketAddr,
    auth: SocketAddr,
    // The last to go: the process writes there.
    pub(crate) disk: SmallDisk,
    _directory: TempDir,
}

impl Site {
    /// On an empty disk; not started.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = SmallDisk::mount(&directory.path().join("disk"));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { process: None, users: nowhere, auth: nowhere, disk, _directory: directory }
    }

    /// Starts it, and does not wait for anything.
    pub(crate) fn launch(&mut self) {
        let data_dir = self.disk.path().join("data");
        let settings = [
            ("DATA_DIR", data_dir.to_str().unwrap()),
            ("USER_SERVICE_LISTEN", "127.0.0.1:0"),
            ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
            ("ARGON2_MEMORY_KIB", "64"),
        ];
        let binary = Path::new(env!("CARGO_BIN_EXE_standalone"));
        self.process = Some(ServiceProcess::start(binary, &settings));
    }

    /// Waits until both services listen.
    pub(crate) fn wait_for_both(&mut self) {
        let process = self.process.as_ref().unwrap();
        self.users = process.address_of("user_service");
        self.auth = process.address_of("auth_service");
    }

    /// Waits until the process has logged all of these words in one line.
    pub(crate) async fn until_logged(&self, words: &[&str]) {
        let process = self.process.as_ref().unwrap();
        let mut log = Vec::new();
        until(&format!("{words:?} are logged"), BOUND, async || {
            log.extend(process.take_log());
            let has_all = |line: &String| words.iter().all(|word| line.contains(word));
            log.iter().any(has_all).then_some(())
        })
        .await;
    }

    /// SIGTERM, and its clean end.
    pub(crate) fn stop(&mut self) {
        self.process.take().unwrap().stop();
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    async fn status(&self, method: Method, path: &str, body: Option<Value>) -> u16 {
        call(method, self.users, path, None, body).await.0
    }

    async fn create(&self, username: &str) -> u16 {
        self.status(Method::POST, "/users", Some(credentials(username))).await
    }
}

fn credentials(username: &str) -> Value {
    json!({"username": username, "password": "testpassword"})
}

async fn log_in(auth: SocketAddr, username: &str) -> Option<String> {
    let login = call(Method::POST, auth, "/login", None, Some(credentials(username))).await;
    login.1["token"].as_str().map(ToOwned::to_owned)
}

async fn token_of(auth: SocketAddr, username: &str) -> String {
    until(&format!("{username} can log in"), BOUND, async || log_in(auth, username).await).await
}

async fn is_alive(auth: SocketAddr, token: &str) -> bool {
    call(Method::GET, auth, "/verify", Some(token), None).await.0 == 200
}

async fn log_out(auth: SocketAddr, token: &str) -> (u16, Value) {
    let (status, answer, _) = call(Method::POST, auth, "/logout", Some(token), None).await;
    (status, answer)
}

/// Everything that reads works, and nothing that writes says that it did.
async fn reads_and_refuses_to_write(site: &Site, name: &str, token: &str) {
    assert_eq!(site.status(Method::GET, "/users/1", None).await, 200);
    assert_eq!(site.status(Method::GET, "/users", None).await, 200);
    let mut number = 0;
    // What the log of changes on the disk has room for may still be written.
    until("no user can be created", BOUND, async || {
        number += 1;
        (site.create(&format!("{name}{number}")).await == 507).then_some(())
    })
    .await;
    let body = json!({"username": "other"});
    assert_eq!(site.status(Method::PUT, "/users/1", Some(body)).await, 507);
    assert_eq!(site.status(Method::DELETE, "/users/1", None).await, 507);
    assert!(is_alive(site.auth, token).await);
    assert!(log_in(site.auth, "testuser").await.is_some());
    until("nobody can log out", BOUND, async || {
        let token = log_in(site.auth, "testuser").await.unwrap();
        let (status, answer) = log_out(site.auth, &token).await;
        assert_eq!(is_alive(site.auth, &token).await, status != 200, "{answer}");
        (status == 507 && answer["title"] == "Storage full").then_some(())
    })
    .await;
    // Longer than two tries: what is tried must not succeed where a user cannot be created.
    for _ in 0..25 {
        let (status, ready, _) = call(Method::GET, site.users, "/readyz", None, None).await;
        let reason = ready["reasons"].to_string();
        assert!(status == 503 && reason.contains("cannot be written"), "{ready}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, ready, _) = call(Method::GET, site.auth, "/readyz", None, None).await;
    let degraded = ready["degraded"].to_string();
    assert!(status == 200 && degraded.contains("the disk is full"), "{ready}");
}

/// With space everything works again, without a restart.
async fn recovers(site: &Site, name: &str, token: &str) {
    until("users can be created again", BOUND, async || {
        (site.create(name).await == 201).then_some(())
    })
    .await;
    let (status, answer) = log_out(site.auth, token).await;
    assert_eq!((status, answer), (200, json!({"status": "logout successful"})));
    assert!(!is_alive(site.auth, token).await);
    token_of(site.auth, name).await;
    for at in [site.users, site.auth] {
        until("the service is ready and not degraded", BOUND, async || {
            let (status, ready, _) = call(Method::GET, at, "/readyz", None, None).await;
            (status == 200 && ready["degraded"].as_array().is_none_or(Vec::is_empty)).then_some(())
        })
        .await;
    }
}

/// Full at every kind of start, and while it runs.
pub(crate) async fn at_each_start_and_while_running() {
    let mut site = Site::new();
    site.launch();
    site.wait_for_both();
    assert_eq!(site.create("testuser").await, 201);
    for name in ["stopped", "killed"] {
        let token = token_of(site.auth, "testuser").await;
        if name == "stopped" {
            site.stop();
        } else {
            site.kill();
        }
        site.disk.fill();
        site.launch();
        site.wait_for_both();
        reads_and_refuses_to_write(&site, name, &token).await;
        site.disk.make_room();
        recovers(&site, name, &token).await;
    }
    let token = token_of(site.auth, "testuser").await;
    site.disk.fill();
    reads_and_refuses_to_write(&site, "running", &token).await;
    site.disk.make_room();
    recovers(&site, "running", &token).await;
    site.stop();
    for name in ["users.db", "projection.db", "tokens.db"] {
        let wal = site.disk.path().join(format!("data/{name}-wal"));
        let left = std::fs::metadata(wal).map_or(0, |metadata| metadata.len());
        assert_eq!(left, 0, "everything is in {name} itself");
    }
}

/// Read-only at a start: what is there is read, and written again when that is over.
pub(crate) async fn read_only_at_a_start() {
    let mut site = Site::new();
    site.launch();
    site.wait_for_both();
    assert_eq!(site.create("testuser").await, 201);
    let token = token_of(site.auth, "testuser").await;
    site.stop();
    site.disk.set_read_only(true);
    site.launch();
    site.wait_for_both();
    reads_and_refuses_to_write(&site, "readonly", &token).await;
    site.disk.set_read_only(false);
    recovers(&site, "readonly", &token).await;
    site.stop();
}

/// Full before the first start: not even a key can be stored, or a file be created.
pub(crate) async fn from_the_very_first_start() {
    for fill in [SmallDisk::fill, SmallDisk::fill_with_names] {
        let mut site = Site::new();
        fill(&site.disk);
        site.launch();
        let words = ["opening the data directory does not work; trying again", "No space left"];
        site.until_logged(&words).await;
        site.disk.make_room();
        site.wait_for_both();
        assert_eq!(site.create("testuser").await, 201);
        let token = token_of(site.auth, "testuser").await;
        assert_eq!(log_out(site.auth, &token).await.0, 200);
        site.stop();
    }
}

/// While auth_service alone cannot write, what happens to users ends their tokens, and a logout
/// says that it did not happen.
pub(crate) async fn of_auth_service_alone(rig: &mut Rig) {
    let (users, auth) = (rig.address(Side::User), rig.address(Side::Auth));
    let mut tokens = Vec::new();
    for name in ["deleted", "changed", "bystander"] {
        let created = call(Method::POST, users, "/users", None, Some(credentials(name))).await;
        assert_eq!(created.0, 201, "{}", created.1);
        tokens.push(token_of(auth, name).await);
    }
    rig.disk(Side::Auth).fill();
    assert_eq!(call(Method::DELETE, users, "/users/1", None, None).await.0, 200);
    let body = json!({"password": "another password", "current_password": "testpassword"});
    assert_eq!(call(Method::PUT, users, "/users/2", None, Some(body)).await.0, 200);
    for token in &tokens[..2] {
        until("the token is dead", BOUND, async || (!is_alive(auth, token).await).then_some(()))
            .await;
    }
    let bystander = &tokens[2];
    assert_eq!(log_out(auth, bystander).await.0, 507);
    assert!(is_alive(auth, bystander).await);
    rig.disk(Side::Auth).make_room();
    until("a logout works again", BOUND, async || {
        (log_out(auth, bystander).await.0 == 200).then_some(())
    })
    .await;
    let body = json!({"username": "changed", "password": "another password"});
    until("the new password works", BOUND, async || {
        let login = call(Method::POST, auth, "/login", None, Some(body.clone())).await;
        (login.0 == 200).then_some(())
    })
    .await;
    for token in &tokens {
        assert!(!is_alive(auth, token).await);
    }
}
