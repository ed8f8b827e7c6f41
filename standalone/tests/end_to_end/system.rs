//! The two services together, in one process or in two.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use shared::tokens::SigningKey;
use tempfile::TempDir;
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;
use testkit::service_process::ServiceProcess;

use crate::client::Client;

/// 32 bytes: services that are started apart have no directory in common.
const SEALING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Starts one service with a data directory of its own, on a broker that others use, too.
pub(crate) fn start_apart(
    binary: &str,
    data_dir: &Path,
    broker: &RabbitMq,
    extra: &[(&str, &str)],
) -> ServiceProcess {
    let url = broker.url();
    let mut settings = vec![
        ("DATA_DIR", data_dir.to_str().unwrap()),
        ("AMQP_URL", &url),
        ("SEALING_KEY", SEALING_KEY),
        ("USER_SERVICE_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
        // What hashing costs is not tested here.
        ("ARGON2_MEMORY_KIB", "64"),
    ];
    settings.extend(extra);
    ServiceProcess::start(&path_of(binary), &settings)
}

/// The system under test; its data outlives its processes.
pub(crate) struct System {
    directory: TempDir,
    way: Way,
    /// Settings beside those of every test.
    extra: Vec<(&'static str, String)>,
    /// Where the users are, if not in the data directory.
    _database: Option<Postgres>,
    processes: Vec<ServiceProcess>,
    pub(crate) client: Client,
}

enum Way {
    OneProcess,
    TwoProcesses(RabbitMq),
}

impl System {
    /// The standalone binary on the in-process bus.
    pub(crate) fn in_one_process() -> Self {
        Self::start(Way::OneProcess, tempfile::tempdir().unwrap())
    }

    /// The same with settings beside those of every test.
    pub(crate) fn with_settings(extra: Vec<(&'static str, &'static str)>) -> Self {
        let extra = extra.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        Self::with_owned_settings(extra)
    }

    /// The same with settings that were made for the test.
    pub(crate) fn with_owned_settings(extra: Vec<(&'static str, String)>) -> Self {
        Self::start_with(Way::OneProcess, tempfile::tempdir().unwrap(), extra, None)
    }

    /// The standalone binary on the data directory `data` that is in this one.
    pub(crate) fn on(directory: TempDir, extra: Vec<(&'static str, String)>) -> Self {
        Self::start_with(Way::OneProcess, directory, extra, None)
    }

    /// The two services, with a broker of their own between them.
    pub(crate) async fn in_two_processes() -> Self {
        Self::start(Way::TwoProcesses(RabbitMq::start().await), tempfile::tempdir().unwrap())
    }

    /// The same with settings beside those of every test.
    pub(crate) async fn in_two_processes_with(extra: Vec<(&'static str, String)>) -> Self {
        let way = Way::TwoProcesses(RabbitMq::start().await);
        Self::start_with(way, tempfile::tempdir().unwrap(), extra, None)
    }

    /// The same with the users in a database server of their own.
    pub(crate) async fn in_two_processes_on_postgresql() -> Self {
        let (broker, database) = (RabbitMq::start().await, Postgres::start().await);
        let extra = vec![("DATABASE_URL", database.url())];
        let directory = tempfile::tempdir().unwrap();
        Self::start_with(Way::TwoProcesses(broker), directory, extra, Some(database))
    }

    fn start(way: Way, directory: TempDir) -> Self {
        Self::start_with(way, directory, Vec::new(), None)
    }

    fn start_with(
        way: Way,
        directory: TempDir,
        extra: Vec<(&'static str, String)>,
        database: Option<Postgres>,
    ) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let client = Client { users: nowhere, auth: nowhere };
        let mut system =
            Self { directory, way, extra, _database: database, processes: vec![], client };
        system.start_processes();
        system
    }

    /// One more auth_service on the same data directory.
    pub(crate) fn start_auth_beside(&self) -> (ServiceProcess, Client) {
        let process = self.start_binary("auth_service");
        let client = Client { auth: process.address_of("auth_service"), ..self.client };
        ServiceProcess::wait_until_ready(client.auth);
        (process, client)
    }

    fn start_processes(&mut self) {
        self.processes = match &self.way {
            Way::OneProcess => vec![self.start_binary("standalone")],
            Way::TwoProcesses(_) => {
                ["user_service", "auth_service"].map(|binary| self.start_binary(binary)).into()
            }
        };
        let [first, .., last] = [&self.processes[0], self.processes.last().unwrap()];
        self.client.users = first.address_of("user_service");
        self.client.auth = last.address_of("auth_service");
        if matches!(self.way, Way::TwoProcesses(_)) {
            // It asks first what other replicas know.
            ServiceProcess::wait_until_ready(self.client.auth);
        }
    }

    fn start_binary(&self, binary: &str) -> ServiceProcess {
        let data_dir = self.data_dir();
        let url = match &self.way {
            Way::OneProcess => None,
            Way::TwoProcesses(broker) => Some(broker.url()),
        };
        let mut settings = vec![
            ("DATA_DIR", data_dir.to_str().unwrap()),
            ("USER_SERVICE_LISTEN", "127.0.0.1:0"),
            ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
            // What hashing costs is not tested here.
            ("ARGON2_MEMORY_KIB", "64"),
        ];
        settings.extend(self.extra.iter().map(|(name, value)| (*name, value.as_str())));
        settings.extend(url.as_deref().map(|url| ("AMQP_URL", url)));
        ServiceProcess::start(&path_of(binary), &settings)
    }

    /// Stops all in order.
    pub(crate) fn stop(&mut self) {
        for process in self.processes.drain(..) {
            process.stop();
        }
    }

    /// The process that runs auth_service.
    pub(crate) fn auth_service(&self) -> &ServiceProcess {
        self.processes.last().unwrap()
    }

    /// Stops all in order, and starts again on the same files.
    pub(crate) fn restart(&mut self) {
        self.restart_after(|_| {});
    }

    /// Stops all in order, does something to the data directory, and starts again on it.
    pub(crate) fn restart_after(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.stop();
        meanwhile(&self.data_dir());
        self.start_processes();
    }

    /// Stops all in order, and starts again with these sealing keys.
    pub(crate) fn restart_with_sealing_keys(&mut self, keys: &str) {
        self.stop();
        let path = self.sealing_key_file();
        std::fs::write(path, keys).unwrap();
        self.start_processes();
    }

    /// The token of the first administrator.
    pub(crate) fn admin_token(&self) -> String {
        std::fs::read_to_string(self.data_dir().join("admin.token")).unwrap()
    }

    /// Where the files are.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The keys that both services share.
    pub(crate) fn sealing_key_file(&self) -> PathBuf {
        self.data_dir().join("sealing.key")
    }

    /// The key that auth_service signs tokens with.
    pub(crate) fn signing_key(&self) -> SigningKey {
        let files = std::fs::read_dir(self.directory.path().join("data")).unwrap();
        let is_signing_key = |path: &PathBuf| {
            path.extension().is_some_and(|extension| extension == "key")
                && !path.ends_with("sealing.key")
        };
        let path = files.map(|file| file.unwrap().path()).find(is_signing_key).unwrap();
        SigningKey::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// Kills all, and starts again on the same files.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill_and_restart_after(|_| {});
    }

    /// Kills all, does something to the data directory, and starts again on it.
    pub(crate) fn kill_and_restart_after(&mut self, meanwhile: impl FnOnce(&Path)) {
        for process in self.processes.drain(..) {
            process.kill();
        }
        meanwhile(&self.directory.path().join("data"));
        self.start_processes();
    }

    /// The broker, where there is one.
    pub(crate) fn broker(&mut self) -> &mut RabbitMq {
        match &mut self.way {
            Way::OneProcess => panic!("there is no broker in one process"),
            Way::TwoProcesses(broker) => broker,
        }
    }
}

/// The standalone binary, for a command on this data directory: without the caller's settings.
pub(crate) fn command_on(data_dir: &Path) -> Command {
    let mut command = Command::new(path_of("standalone"));
    command.env_clear().env("DATA_DIR", data_dir);
    command
}

/// The binaries of the workspace lie side by side.
pub(crate) fn path_of(binary: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_standalone")).with_file_name(binary)
}
