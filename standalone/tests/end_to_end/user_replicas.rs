//! Two processes of user_service on one PostgreSQL, which one auth_service follows over RabbitMQ.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use awc::http::Method;
use serde_json::json;
use tempfile::TempDir;
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;
use testkit::service_process::ServiceProcess;
use testkit::wait::until;

use crate::client::{Answer, Client};
use crate::system::{path_of, start_apart};

const PASSWORD: &str = "testpassword";
/// The data directory that both share.
const USERS: &str = "users";
/// How soon auth_service has what was written, whatever happens to one process.
const AGREEMENT: Duration = Duration::from_secs(5);

struct Fleet {
    broker: RabbitMq,
    database: Postgres,
    user_services: [Option<(ServiceProcess, Client)>; 2],
    auth: Option<(ServiceProcess, SocketAddr)>,
    /// How many changes were answered with success.
    made: i64,
    // The last to go: the processes write there.
    directory: TempDir,
}

impl Fleet {
    async fn start() -> Self {
        let (broker, database) = (RabbitMq::start().await, Postgres::start().await);
        let directory = tempfile::tempdir().unwrap();
        let user_services = [None, None];
        let mut fleet = Self { broker, database, user_services, auth: None, made: 0, directory };
        let process = fleet.spawn("auth_service", "auth");
        let auth = process.address_of("auth_service");
        fleet.auth = Some((process, auth));
        for n in 0..2 {
            fleet.launch(n);
        }
        ServiceProcess::wait_until_ready(auth);
        fleet
    }

    fn spawn(&self, binary: &str, name: &str) -> ServiceProcess {
        let data_dir = self.directory.path().join(name);
        let database = self.database.url();
        let extra = [("DATABASE_URL", &*database)];
        // auth_service has no such setting.
        let extra = if binary == "user_service" { &extra[..] } else { &[] };
        start_apart(binary, &data_dir, &self.broker, extra)
    }

    fn launch(&mut self, n: usize) {
        let process = self.spawn("user_service", USERS);
        let users = process.address_of("user_service");
        let auth = self.auth.as_ref().unwrap().1;
        ServiceProcess::wait_until_ready(users);
        self.user_services[n] = Some((process, Client { users, auth }));
    }

    fn client(&self, n: usize) -> Client {
        self.user_services[n].as_ref().unwrap().1
    }

    fn process(&self, n: usize) -> &ServiceProcess {
        &self.user_services[n].as_ref().unwrap().0
    }

    async fn create(&mut self, n: usize, name: &str) -> i64 {
        let created = self.client(n).create(name, PASSWORD).await;
        self.made += 1;
        created.id
    }

    /// auth_service has the users that this process of user_service has, and nothing was made twice.
    async fn until_agreed(&self, n: usize, what: &str) {
        let client = self.client(n);
        until(what, AGREEMENT, async || {
            let [users, auth] = [
                client.users_checksum(client.users).await,
                client.users_checksum(client.auth).await,
            ];
            let is_all = users.as_ref().is_some_and(|info| info.contains(&self.last_seq()));
            (is_all && users == auth).then_some(())
        })
        .await;
    }

    fn last_seq(&self) -> String {
        format!("seq=\"{}\"", self.made)
    }

    /// Which of these processes publishes.
    async fn until_published_by(&self, candidates: &[usize]) -> usize {
        until("one process publishes", AGREEMENT, async || {
            let mut publishing = Vec::new();
            for n in candidates {
                if self.client(*n).publishes().await {
                    publishing.push(*n);
                }
            }
            let [only] = publishing[..] else { return None };
            Some(only)
        })
        .await
    }
}

impl Client {
    /// Whether user_service says at `/readyz` and in its metrics that it publishes the log.
    async fn publishes(&self) -> bool {
        let ready = self.call_with(Method::GET, "/readyz", ("accept", "application/json")).await;
        let says =
            ready.body["publisher"].as_str().is_some_and(|who| who.ends_with("(this process)"));
        let metrics = awc::Client::new().get(format!("http://{}/metrics", self.users));
        let metrics = metrics.send().await.unwrap().body().await.unwrap();
        let counts = String::from_utf8_lossy(&metrics).contains("lockstep_user_log_publisher 1\n");
        says && counts
    }

    async fn create_once(&self, key: &str, name: &str) -> Answer {
        let body = json!({"username": name, "password": PASSWORD});
        self.call_users_with(Method::POST, "/users", ("idempotency-key", key), body).await
    }

    async fn rename_if(&self, id: i64, tag: &str, name: &str) -> Answer {
        let (path, body) = (format!("/users/{id}"), json!({"username": name}));
        self.call_users_with(Method::PUT, &path, ("if-match", tag), body).await
    }
}

#[actix_web::test]
async fn of_two_processes_one_publishes_and_the_other_takes_over_when_it_stops_or_dies() {
    let mut fleet = Fleet::start().await;
    for n in 0..6 {
        fleet.create(n % 2, &format!("user{n}")).await;
    }
    fleet.until_agreed(0, "both write, and auth_service has it all").await;
    let holder = fleet.until_published_by(&[0, 1]).await;
    let other = 1 - holder;

    fleet.process(holder).suspend();
    fleet.create(other, "stopped").await;
    fleet.until_agreed(other, "the holder is stopped").await;
    fleet.until_published_by(&[other]).await;
    fleet.process(holder).resume();
    fleet.create(holder, "resumed").await;
    fleet.until_agreed(holder, "the former holder goes on").await;
    assert_eq!(fleet.until_published_by(&[0, 1]).await, other, "the lease did not come back");

    // The holder answers, and dies at once: nothing of it may be published yet.
    let id = fleet.create(other, "last").await;
    fleet.user_services[other].take().unwrap().0.kill();
    fleet.until_agreed(holder, "the holder has died").await;
    fleet.until_published_by(&[holder]).await;
    let client = fleet.client(holder);
    assert_eq!(client.read(id).await.body, json!({"id": id, "username": "last"}));
    assert_eq!(client.login("last", PASSWORD).await.status, 200);

    // The other is back, and the holder stops as an operator stops it.
    fleet.launch(other);
    fleet.user_services[holder].take().unwrap().0.stop();
    fleet.create(other, "alone").await;
    fleet.until_agreed(other, "the holder was stopped").await;
}

#[actix_web::test]
async fn processes_that_share_a_data_directory_have_places_there_and_one_administrator() {
    let mut fleet = Fleet::start().await;
    let data_dir = fleet.directory.path().join(USERS);
    for place in ["replica-1", "replica-2"].map(|place| data_dir.join(place)) {
        assert!(place.join("users-postgres.mark").is_file(), "{}", place.display());
        assert!(!place.join("admin.token").exists(), "{}", place.display());
    }
    assert!(data_dir.join("admin.token").is_file());

    // A command asks whoever runs.
    let id = fleet.create(0, "anna").await;
    let anna = format!("{id:>10}  anna\n");
    assert_eq!(users_listed(&data_dir), anna);
    fleet.user_services[0].take().unwrap().0.kill();
    assert_eq!(users_listed(&data_dir), anna);
    fleet.user_services[1].take().unwrap().0.stop();
    assert_eq!(users_listed(&data_dir), "", "none runs");
}

/// What `user_service users list` prints.
fn users_listed(data_dir: &Path) -> String {
    let mut command = Command::new(path_of("user_service"));
    command.args(["users", "list"]).env("DATA_DIR", data_dir);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[actix_web::test]
async fn a_key_and_an_entity_tag_of_one_process_count_in_the_other() {
    let mut fleet = Fleet::start().await;
    let first = fleet.client(0).create_once("k", "anna").await;
    assert_eq!(first.status, 201, "{:?}", first.body);
    fleet.made += 1;
    let id = first.body["id"].as_i64().unwrap();
    let again = fleet.client(1).create_once("k", "anna").await;
    assert_eq!((again.status, &again.body, &again.etag), (201, &first.body, &first.etag));
    assert_eq!(fleet.client(1).create_once("k", "bert").await.status, 422);

    let tag = first.etag.unwrap();
    let [one, two] = [fleet.client(0), fleet.client(1)];
    let renaming = (one.rename_if(id, &tag, "anne"), two.rename_if(id, &tag, "annie"));
    let (by_one, by_two) = futures_util::future::join(renaming.0, renaming.1).await;
    let mut statuses = [by_one.status, by_two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "one of them was first");
    fleet.made += 1;

    // Its process dies with the answer on its way; the client asks the other.
    fleet.user_services[0].take().unwrap().0.kill();
    let again = fleet.client(1).create_once("k", "anna").await;
    assert_eq!((again.status, again.body), (201, first.body));
    fleet.until_agreed(1, "one process is left").await;
    assert_eq!(two.list().await.body.as_array().map(Vec::len), Some(1), "none was made twice");
}
