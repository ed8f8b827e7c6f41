//! Passwords in the settings that are URLs: of the database, of its notifications, and of the broker.
//! Connections break, and settings are wrong; then all that was said is searched for them.

use std::net::SocketAddr;
use std::process::Command;

use awc::http::Method;
use tempfile::TempDir;
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;
use testkit::service_process::ServiceProcess;
use testkit::tcp_proxy::TcpProxy;
use testkit::wait::until;

use super::BOUND;
use super::canaries::{contains, line_with, spellings_of};
use crate::system::path_of;

/// A URL has to escape the last character.
const PASSWORDS: [&str; 3] = [
    "kanarienvogel21zwitschert21@",
    "kanarienvogel22zwitschert22@",
    "kanarienvogel23zwitschert23@",
];

/// What `/readyz` says.
const DATABASE_AWAY: &str = "the database cannot be reached";
const BROKER_AWAY: &str = "broker ";

type Settings = Vec<(&'static str, String)>;

/// user_service with its database and broker behind proxies, and all that it has said so far.
struct System {
    directory: TempDir,
    database: Postgres,
    broker: RabbitMq,
    way_to_database: TcpProxy,
    way_to_broker: TcpProxy,
    said: String,
}

impl System {
    async fn start() -> Self {
        let (database, broker) = (Postgres::start().await, RabbitMq::start().await);
        let [of_database, of_listener, of_broker] = PASSWORDS;
        database.sql_as_superuser(&format!("ALTER ROLE lockstep PASSWORD '{of_database}'"));
        database.sql_as_superuser(&format!("CREATE ROLE listener LOGIN PASSWORD '{of_listener}'"));
        broker.control(&["await_startup"]);
        broker.control(&["add_user", "lockstep", of_broker]);
        broker.control(&["set_permissions", "lockstep", ".*", ".*", ".*"]);
        let broker_at = SocketAddr::from(([127, 0, 0, 1], broker.port()));
        Self {
            directory: tempfile::tempdir().unwrap(),
            way_to_database: TcpProxy::start(database.address()).await,
            way_to_broker: TcpProxy::start(broker_at).await,
            database,
            broker,
            said: String::new(),
        }
    }

    fn settings(&self) -> Settings {
        let [database, listener, broker] = PASSWORDS.map(|password| password.replace('@', "%40"));
        let database_at = format!("127.0.0.1:{}/lockstep", self.way_to_database.port());
        let broker_at = format!("127.0.0.1:{}/%2f", self.way_to_broker.port());
        vec![
            ("DATA_DIR", self.directory.path().to_str().unwrap().to_owned()),
            ("USER_SERVICE_LISTEN", "127.0.0.1:0".to_owned()),
            ("DATABASE_URL", format!("postgres://lockstep:{database}@{database_at}")),
            ("DATABASE_LISTEN_URL", format!("postgres://listener:{listener}@{database_at}")),
            ("AMQP_URL", format!("amqp://lockstep:{broker}@{broker_at}")),
            ("ARGON2_MEMORY_KIB", "64".to_owned()),
            ("LOG", "trace".to_owned()),
        ]
    }

    /// The settings with a part of these URLs replaced by something wrong.
    fn wrong_settings(&self, variables: &[&str], right: &str, wrong: &str) -> Settings {
        let mut settings = self.settings();
        for (_, value) in settings.iter_mut().filter(|(name, _)| variables.contains(name)) {
            assert!(value.contains(right), "{value}");
            *value = value.replace(right, wrong);
        }
        settings
    }

    async fn spawn(settings: &Settings) -> (ServiceProcess, SocketAddr) {
        let settings = settings.clone();
        blocking(move || {
            let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
            let process = ServiceProcess::start(&path_of("user_service"), &settings);
            let at = process.address_of("user_service");
            (process, at)
        })
        .await
    }

    async fn stop(&mut self, process: ServiceProcess) {
        for line in blocking(move || process.stop()).await {
            self.said.extend([&*line, "\n"]);
        }
    }

    async fn call(&mut self, method: Method, at: SocketAddr, path: &str, body: String) -> u16 {
        let request = awc::Client::new().request(method, format!("http://{at}{path}"));
        let request = request.insert_header(("content-type", "application/json"));
        let mut response = request.send_body(body).await.unwrap();
        let text = String::from_utf8_lossy(&response.body().await.unwrap()).into_owned();
        self.said.extend([&*format!("{:?}\n", response.headers()), &*text, "\n"]);
        response.status().as_u16()
    }

    async fn create(&mut self, at: SocketAddr, name: &str) -> u16 {
        let body = format!(r#"{{"username":"{name}","password":"testpassword"}}"#);
        self.call(Method::POST, at, "/users", body).await
    }

    /// Waits until `/readyz` says this.
    async fn until_told(&mut self, at: SocketAddr, text: &str) {
        until(text, BOUND, async || {
            let before = self.said.len();
            self.call(Method::GET, at, "/readyz", String::new()).await;
            self.said[before..].contains(text).then_some(())
        })
        .await;
    }

    async fn until_ready(&mut self, at: SocketAddr) {
        self.until_told(at, r#"{"status":"ready","publisher":"#).await;
    }

    /// Both are cut off, and come back.
    async fn connections_break(&mut self) {
        let (process, at) = Self::spawn(&self.settings()).await;
        self.until_ready(at).await;
        assert_eq!(self.create(at, "anna").await, 201);
        self.way_to_database.cut();
        self.way_to_broker.cut();
        assert_eq!(self.create(at, "bob").await, 503);
        self.until_told(at, DATABASE_AWAY).await;
        self.until_told(at, BROKER_AWAY).await;
        assert_eq!(self.call(Method::GET, at, "/metrics", String::new()).await, 200);
        self.way_to_database.heal();
        self.way_to_broker.heal();
        self.until_ready(at).await;
        assert_eq!(self.create(at, "cleo").await, 201);
        self.stop(process).await;
    }

    /// It starts all the same, and says why it does nothing.
    async fn settings_are_wrong(&mut self, settings: &Settings, told: &[&str]) {
        let (process, at) = Self::spawn(settings).await;
        for text in told {
            self.until_told(at, text).await;
        }
        self.stop(process).await;
    }

    /// A command, or a start that ends; returns the exit code.
    async fn run(&mut self, settings: &Settings, arguments: &[&str]) -> Option<i32> {
        let mut command = Command::new(path_of("user_service"));
        command.args(arguments).env_clear().envs(settings.iter().cloned());
        let output = blocking(move || command.output()).await.unwrap();
        for text in [&output.stdout, &output.stderr] {
            self.said.extend([&*String::from_utf8_lossy(text), "\n"]);
        }
        output.status.code()
    }

    async fn commands(&mut self) {
        let settings = self.settings();
        for arguments in [&["config"][..], &["config", "--json"], &["--help"], &["migrate"]] {
            assert_eq!(
                self.run(&settings, arguments).await,
                Some(0),
                "{arguments:?}\n{}",
                self.said
            );
        }
        // Of flags, too; a URL on the command line is visible to others all the same.
        let flags = settings[2..5].iter().map(|(name, value)| {
            let flag = name.to_lowercase().replace('_', "-");
            format!("--{flag}={value}")
        });
        let flags: Vec<_> = flags.collect();
        let mut arguments: Vec<_> = flags.iter().map(String::as_str).collect();
        arguments.push("config");
        assert_eq!(self.run(&settings[..2].to_vec(), &arguments).await, Some(0), "{}", self.said);
    }
}

/// Waits on another thread: this one forwards the connections meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[actix_web::test]
async fn passwords_in_urls_are_in_no_log_and_no_answer() {
    const ALL: [&str; 3] = ["DATABASE_URL", "DATABASE_LISTEN_URL", "AMQP_URL"];
    let mut system = System::start().await;
    system.connections_break().await;
    system.commands().await;
    // The passwords are those of somebody else.
    let settings = system.wrong_settings(&["DATABASE_URL"], "%40@", "%40x@");
    assert_eq!(system.run(&settings, &[]).await, Some(1), "{}", system.said);
    let settings = system.wrong_settings(&ALL[1..], "%40@", "%40x@");
    system.settings_are_wrong(&settings, &[BROKER_AWAY]).await;
    let settings = system.wrong_settings(&ALL, "127.0.0.1", "nowhere.invalid");
    system.settings_are_wrong(&settings, &[DATABASE_AWAY, BROKER_AWAY]).await;
    for variable in ALL {
        let settings = system.wrong_settings(&[variable], "127.0.0.1:", "127.0.0.1:x");
        let exit_code = system.run(&settings, &[]).await;
        assert_eq!(exit_code, Some(78), "{variable}\n{}", system.said);
    }
    system.broker.stop().await;
    system.database.stop().await;

    let said = system.said.as_bytes();
    assert!(contains(said, "\"level\":\"TRACE\"") && contains(said, "\"level\":\"WARN\""));
    for password in PASSWORDS {
        for spelling in spellings_of(password.trim_end_matches('@')) {
            assert!(!contains(said, &spelling), "{}", line_with(&system.said, &spelling));
        }
    }
}
