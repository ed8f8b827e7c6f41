//! Passwords that can be told from everything else go through a whole journey, with all that there is
//! to log; then everything that is left of it is searched for them.

mod canaries;
mod mistakes;
mod urls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use awc::http::Method;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::rabbitmq::RabbitMq;
use testkit::service_process::ServiceProcess;
use testkit::wait::until;

use self::canaries::{Canaries, contains, files, line_with};
use crate::system::path_of;

/// How long a state may take to come about.
const BOUND: Duration = Duration::from_secs(30);

/// What a hash in PHC form begins with.
const HASH: &str = "$argon2";

/// Two services and a broker of their own, and all that they have said so far.
struct Journey {
    directory: TempDir,
    broker: RabbitMq,
    canaries: Canaries,
    users: Option<ServiceProcess>,
    auth: Option<ServiceProcess>,
    users_at: SocketAddr,
    auth_at: SocketAddr,
    /// Log lines, metrics, and answers with their headers.
    said: String,
    /// All that were issued.
    tokens: Vec<String>,
}

impl Journey {
    async fn start() -> Self {
        let (broker, canaries) = (RabbitMq::start().await, Canaries::new());
        // On a busy machine it answers before it takes orders.
        broker.control(&["await_startup"]);
        broker.control(&["add_user", "lockstep", &canaries.broker]);
        broker.control(&["set_permissions", "lockstep", ".*", ".*", ".*"]);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let directory = tempfile::tempdir().unwrap();
        let (users_at, auth_at) = (nowhere, nowhere);
        let mut journey = Self {
            directory,
            broker,
            canaries,
            users: None,
            auth: None,
            users_at,
            auth_at,
            said: String::new(),
            tokens: vec![],
        };
        let users = journey.spawn("user_service", &[]);
        journey.users_at = users.address_of("user_service");
        journey.users = Some(users);
        journey.start_auth("64").await;
        journey
    }

    fn data_dir(&self, service: &str) -> PathBuf {
        self.directory.path().join(service)
    }

    fn spawn(&self, service: &str, more: &[(&str, &str)]) -> ServiceProcess {
        let url = format!(
            "amqp://lockstep:{}@127.0.0.1:{}/%2f",
            self.canaries.broker,
            self.broker.port()
        );
        let data_dir = self.data_dir(service);
        let mut settings = vec![
            ("DATA_DIR", data_dir.to_str().unwrap()),
            ("USER_SERVICE_LISTEN", "127.0.0.1:0"),
            ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
            ("AMQP_URL", &url),
            ("SEALING_KEY", &self.canaries.sealing_key),
            ("ARGON2_MEMORY_KIB", "64"),
            ("LOG", "trace"),
        ];
        settings.extend(more);
        ServiceProcess::start(&path_of(service), &settings)
    }

    async fn start_auth(&mut self, memory_kib: &str) {
        let auth = self.spawn("auth_service", &[("ARGON2_MEMORY_KIB", memory_kib)]);
        self.auth_at = auth.address_of("auth_service");
        self.auth = Some(auth);
        let at = self.auth_at;
        until("auth_service is ready", BOUND, async || {
            (self.call(Method::GET, at, "/readyz", &[], "").await.0 == 200).then_some(())
        })
        .await;
    }

    fn stop_auth(&mut self) {
        let auth = self.auth.take().unwrap();
        self.hear_all(auth);
    }

    /// Stops the process, which says a word to that as well.
    fn hear_all(&mut self, process: ServiceProcess) {
        for line in process.stop() {
            self.said.push_str(&line);
            self.said.push('\n');
        }
    }

    async fn call(
        &mut self,
        method: Method,
        at: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let mut request = awc::Client::new().request(method, format!("http://{at}{path}"));
        request = request.insert_header(("content-type", "application/json"));
        for header in headers {
            request = request.insert_header(*header);
        }
        let sent = request.send_body(body.to_owned()).await;
        let mut response = sent.unwrap_or_else(|error| panic!("{path} {headers:?}: {error}"));
        let text = String::from_utf8_lossy(&response.body().await.unwrap()).into_owned();
        let headers = format!("{:?}\n", response.headers());
        self.said.extend([headers.as_str(), text.as_str()]);
        (response.status().as_u16(), text)
    }

    async fn post_user(&mut self, body: &Value) -> u16 {
        let key = [("idempotency-key", "the-same-key")];
        self.call(Method::POST, self.users_at, "/users", &key, &body.to_string()).await.0
    }

    async fn put_user(&mut self, body: &Value) -> u16 {
        self.call(Method::PUT, self.users_at, "/users/1", &[], &body.to_string()).await.0
    }

    async fn login(&mut self, username: &str, password: &str) -> (u16, String) {
        let body = json!({"username": username, "password": password}).to_string();
        self.call(Method::POST, self.auth_at, "/login", &[], &body).await
    }

    async fn until_logged_in(&mut self, username: &str, password: &str) -> String {
        let answer = until("the login succeeds", BOUND, async || {
            let (status, answer) = self.login(username, password).await;
            (status == 200).then_some(answer)
        })
        .await;
        self.issued(&answer)
    }

    /// A login that a client may repeat: the service keeps its answer.
    async fn login_twice(&mut self, username: &str, password: &str) {
        let body = json!({"username": username, "password": password}).to_string();
        let key = [("idempotency-key", "a-key-of-this-login")];
        for _ in 0..2 {
            let answer = self.call(Method::POST, self.auth_at, "/login", &key, &body).await;
            assert_eq!(answer.0, 200);
            self.issued(&answer.1);
        }
        let [.., one, two] = &self.tokens[..] else { panic!("two tokens") };
        assert_eq!(one, two, "the answer was kept");
    }

    fn issued(&mut self, answer: &str) -> String {
        self.leave_out(answer);
        let answer: Value = serde_json::from_str(answer).unwrap();
        let token = answer["token"].as_str().unwrap().to_owned();
        self.tokens.push(token.clone());
        token
    }

    /// What a client is given for its own secret, or told about it, is between the two.
    fn leave_out(&mut self, answer: &str) {
        self.said = self.said.replace(answer, "");
    }

    /// Events that nobody can read, and some that wait on disk for a service that is down.
    async fn fill_the_broker(&mut self) {
        let stranger = BASE64URL_NOPAD.encode(b"another key of thirty-two bytes!");
        self.stop_auth();
        let misled = self.spawn("auth_service", &[("SEALING_KEY", &stranger)]);
        misled.address_of("auth_service");
        assert_eq!(self.put_user(&json!({"username": "ada.misread"})).await, 200);
        until("a dead letter is there", BOUND, async || {
            let queues = self.broker.control(&["list_queues", "name", "messages"]);
            let is_dead = |line: &str| line.contains("dead_letters") && !line.ends_with("\t0");
            queues.lines().any(is_dead).then_some(())
        })
        .await;
        self.hear_all(misled);
        assert_eq!(self.put_user(&json!({"username": "ada.waits"})).await, 200);
        assert_eq!(self.put_user(&json!({"username": "ada"})).await, 200);
    }

    async fn delete_ada(&mut self, password: &str) {
        let deleted = self.call(Method::DELETE, self.users_at, "/users/1", &[], "").await;
        assert_eq!(deleted.0, 200);
        until("the deletion has arrived", BOUND, async || {
            let (status, answer) = self.login("ada", password).await;
            if status == 200 {
                self.issued(&answer);
            }
            (status == 401).then_some(())
        })
        .await;
    }

    async fn stop(&mut self) {
        for at in [self.users_at, self.auth_at] {
            let (status, _) = self.call(Method::GET, at, "/metrics", &[], "").await;
            assert_eq!(status, 200);
        }
        self.stop_auth();
        let users = self.users.take().unwrap();
        self.hear_all(users);
        self.broker.stop().await;
    }
}

#[actix_web::test]
async fn passwords_keys_and_hashes_are_nowhere_but_where_they_belong() {
    let mut journey = Journey::start().await;
    let (first, second) = (journey.canaries.first.clone(), journey.canaries.second.clone());
    let new_user = json!({"username": "ada", "password": first});
    assert_eq!(journey.post_user(&new_user).await, 201);
    assert_eq!(journey.post_user(&new_user).await, 201, "the same again");
    let token = journey.until_logged_in("ada", &first).await;
    journey.login_twice("ada", &first).await;
    journey.mistakes().await;
    let bearer = format!("Bearer {token}");
    let logout = [("authorization", &*bearer), ("idempotency-key", "a-key-of-this-logout")];
    for _ in 0..2 {
        let answer = journey.call(Method::POST, journey.auth_at, "/logout", &logout, "").await;
        assert_eq!(answer.0, 200);
    }
    let verified = journey.call(Method::GET, journey.auth_at, "/verify", &logout[..1], "").await;
    assert_eq!(verified.0, 401);
    let change = json!({"password": second, "current_password": first});
    assert_eq!(journey.put_user(&change).await, 200);
    journey.until_logged_in("ada", &second).await;
    journey.fill_the_broker().await;
    // With other costs, so that the next login makes the hash anew and sends it over the broker.
    journey.start_auth("128").await;
    journey.until_logged_in("ada", &second).await;
    let waiting = json!({"username": "bob", "password": journey.canaries.last});
    journey.call(Method::POST, journey.users_at, "/users", &[], &waiting.to_string()).await;
    journey.delete_ada(&second).await;
    journey.stop().await;

    let said = journey.said.as_bytes();
    assert!(contains(said, "\"level\":\"TRACE\"") && contains(said, "/metrics"), "all was heard");
    let on_broker = files(journey.broker.directory());
    assert!(
        on_broker.iter().any(|(_, content)| contains(content, "ada.waits")),
        "messages are found on the broker's disk"
    );
    let stored = files(journey.directory.path());
    let is_users =
        |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with("users.db");
    assert!(
        stored.iter().any(|(path, content)| is_users(path) && contains(content, HASH)),
        "hashes are found where they belong"
    );
    for spelling in journey.canaries.spellings() {
        assert!(!contains(said, &spelling), "{}", line_with(&journey.said, &spelling));
        for (path, content) in on_broker.iter().chain(&stored) {
            assert!(!contains(content, &spelling), "{spelling} is in {}", path.display());
        }
    }
    assert!(!contains(said, HASH), "{}", line_with(&journey.said, HASH));
    for (path, content) in on_broker.iter().chain(&stored) {
        let may_be = is_users(path);
        assert!(may_be || !contains(content, HASH), "a hash is in {}", path.display());
    }
    // A token is at its client's alone: an answer that may be repeated is stored sealed.
    for token in &journey.tokens {
        let (claims, signature) = token.rsplit_once('.').unwrap();
        for part in [signature, claims.rsplit('.').next().unwrap()] {
            assert!(!contains(said, part), "{}", line_with(&journey.said, part));
            for (path, content) in on_broker.iter().chain(&stored) {
                assert!(!contains(content, part), "a token is in {}", path.display());
            }
        }
    }
}
