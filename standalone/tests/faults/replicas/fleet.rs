//! user_service and three replicas of auth_service on one RabbitMQ, each with files and a network of
//! its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use awc::http::Method;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use testkit::rabbitmq::{RabbitMq, free_port};
use testkit::service_process::ServiceProcess;
use testkit::tcp_proxy::TcpProxy;
use testkit::wait::until;

use super::http::{Http, Knowledge};
use super::journal::Sessions;
use super::sites::{HASTY, REPLICAS, Sites};
use super::{CLIENTS, LEVEL_BOUND, PASSWORD, clocks, deaf};

/// 32 bytes: the services have no directory in common.
const SEALING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Where a replica has its files.
const PLACE: &str = "replica-1";

/// The whole system.
pub(crate) struct Fleet {
    pub(crate) broker: RabbitMq,
    networks: [TcpProxy; REPLICAS],
    users: Option<ServiceProcess>,
    replicas: [Option<ServiceProcess>; REPLICAS],
    pub(crate) sites: Arc<Sites>,
    /// The replicas may ask user_service directly, from their next start on.
    pub(crate) is_direct: bool,
    /// The last replica takes no records from the others.
    is_last_deaf: bool,
    /// The file that tells the first replica the time.
    clock: Option<PathBuf>,
    /// Replicas whose names are gone: the others miss them for a day.
    pub(crate) lost_names: usize,
    // The last to go: the processes write there.
    directory: TempDir,
}

impl Fleet {
    /// All are ready, and each client's user can log in.
    pub(crate) async fn start() -> (Self, Vec<Sessions>) {
        Self::start_with(false).await
    }

    /// The same with a last replica that drops what the others tell it.
    pub(crate) async fn start_with_a_deaf_one() -> (Self, Vec<Sessions>) {
        Self::start_with(true).await
    }

    async fn start_with(is_last_deaf: bool) -> (Self, Vec<Sessions>) {
        let broker = RabbitMq::start().await;
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, broker.port()));
        let networks = [
            TcpProxy::start(target).await,
            TcpProxy::start(target).await,
            TcpProxy::start(target).await,
        ];
        let address = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let sites = Arc::new(Sites::new(address(), [address(), address(), address()]));
        let mut fleet = Self {
            broker,
            networks,
            users: None,
            replicas: [None, None, None],
            sites,
            is_direct: false,
            is_last_deaf,
            clock: None,
            lost_names: 0,
            directory: tempfile::tempdir().unwrap(),
        };
        fleet.start_users();
        for replica in 0..REPLICAS {
            fleet.launch(replica);
        }
        let users = fleet.create_users().await;
        (fleet, users)
    }

    async fn create_users(&self) -> Vec<Sessions> {
        let http = Http::new();
        let mut users = Vec::new();
        for number in 0..CLIENTS {
            let name = format!("session{number}");
            let body = serde_json::json!({"username": name, "password": PASSWORD});
            let to = (self.sites.users, "/users");
            let created = http.call(Method::POST, to, None, Some(body)).await;
            assert_eq!(created.status, 201, "{}", created.body);
            users.push(Sessions::of(name));
        }
        self.until_level(&http).await;
        for user in &users {
            for at in self.sites.auth {
                let what = format!("{} can log in at {at}", user.username);
                until(&what, LEVEL_BOUND, async || http.log_in(at, &user.username).await.1).await;
            }
        }
        users
    }

    /// Until every replica is ready, lacks nothing and hears the others.
    pub(crate) async fn until_level(&self, http: &Http) {
        for (replica, at) in self.sites.auth.into_iter().enumerate() {
            let asked = Instant::now();
            loop {
                let Knowledge { is_cut_off, silent, told } = http.knowledge(at).await;
                if !is_cut_off && silent <= self.lost_names {
                    break;
                }
                assert!(
                    asked.elapsed() < LEVEL_BOUND,
                    "replica {replica} says: {told:?}\n{}",
                    self.log()
                );
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
    }

    pub(crate) fn network(&self, replica: usize) -> &TcpProxy {
        &self.networks[replica]
    }

    pub(crate) fn process(&self, replica: usize) -> &ServiceProcess {
        self.replicas[replica].as_ref().unwrap()
    }

    pub(crate) fn start_users(&mut self) {
        let url = self.broker.url();
        let data_dir = self.users_dir();
        let listen = self.sites.users.to_string();
        let settings = [
            ("DATA_DIR", data_dir.to_str().unwrap()),
            ("USER_SERVICE_LISTEN", &listen),
            ("AMQP_URL", &url),
            ("SEALING_KEY", SEALING_KEY),
            ("ARGON2_MEMORY_KIB", "64"),
            ("LOG", "info,access=warn"),
        ];
        let process = ServiceProcess::start(&path_of("user_service"), &settings);
        process.address_of("user_service");
        self.users = Some(process);
    }

    /// SIGKILL.
    pub(crate) fn kill_users(&mut self) {
        self.users = None;
    }

    /// Starts a replica, and waits until it listens.
    pub(crate) fn launch(&mut self, replica: usize) {
        let url = format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.networks[replica].port());
        let data_dir = self.data_dir(replica);
        let (listen, name) = (self.sites.auth[replica].to_string(), replica.to_string());
        let user_service = format!("http://{}", self.sites.users);
        let mut settings = vec![
            ("DATA_DIR", data_dir.to_str().unwrap()),
            ("AUTH_SERVICE_LISTEN", &listen),
            ("AUTH_REPLICA", &name),
            ("AMQP_URL", &url),
            ("SEALING_KEY", SEALING_KEY),
            ("LOGOUT_ACKS", if replica == HASTY { "0" } else { "1" }),
            // A token that was logged out stays interesting for the whole run.
            ("TOKEN_LIFETIME", "12h"),
            // What hashing costs is not tested here.
            ("ARGON2_MEMORY_KIB", "64"),
            ("LOG", "info,access=warn"),
        ];
        settings.extend(self.is_direct.then_some(("USER_SERVICE_URL", user_service.as_str())));
        if let Some(clock) = self.clock.as_deref().filter(|_| replica == clocks::JUMPING) {
            settings.extend(clocks::settings(clock));
        }
        let process = if self.is_last_deaf && replica == REPLICAS - 1 {
            ServiceProcess::spawn(deaf::command(), &settings)
        } else {
            ServiceProcess::start(&path_of("auth_service"), &settings)
        };
        process.address_of("auth_service");
        self.replicas[replica] = Some(process);
    }

    /// From its next start on the first replica reads its wall clock from this file.
    pub(crate) fn give_a_clock_of_its_own(&mut self) -> PathBuf {
        let clock = self.directory.path().join("clock");
        clocks::set(&clock, "+0");
        self.clock = Some(clock.clone());
        clock
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, replica: usize) {
        self.replicas[replica] = None;
    }

    /// Removes all files of a replica, which must not run: it comes back under another name.
    pub(crate) fn wipe(&mut self, replica: usize) {
        fs::remove_dir_all(self.data_dir(replica)).unwrap();
        self.lost_names += 1;
    }

    /// A copy of a replica's file as of now.
    pub(crate) fn back_up(&self, replica: usize, file: &str) {
        let copy = self.copy_of(replica, file);
        let _ = fs::remove_file(&copy);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = Connection::open_with_flags(self.file(replica, file), flags).unwrap();
        database.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    }

    /// Puts the copy in the place of the file of a replica, which must not run. The copy is another
    /// file, or overwrites the one that is there.
    pub(crate) fn put_back(&mut self, replica: usize, file: &str, is_another_file: bool) {
        let (path, copy) = (self.file(replica, file), self.copy_of(replica, file));
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(path.with_file_name(format!("{file}{suffix}")));
        }
        if is_another_file {
            fs::rename(copy, &path).unwrap();
        } else {
            fs::copy(copy, &path).unwrap();
        }
        if file == TOKENS {
            self.sites.is_put_back(replica);
            // It takes another name, because its former one may go on where the copy was made.
            self.lost_names += 1;
        }
    }

    pub(crate) fn projection(&self, replica: usize) -> PathBuf {
        self.file(replica, PROJECTION)
    }

    pub(crate) fn users_database(&self) -> PathBuf {
        self.users_dir().join("users.db")
    }

    /// The last that all have logged.
    pub(crate) fn log(&self) -> String {
        let replicas = self.replicas.iter().enumerate();
        let named = replicas.map(|(number, process)| (format!("replica {number}"), process));
        let all = named.chain([("user_service".to_owned(), &self.users)]);
        let of_each = all.filter_map(|(name, process)| {
            let lines = process.as_ref()?.take_log();
            let last = lines[lines.len().saturating_sub(25)..].join("\n");
            Some(format!("--- {name} has logged:\n{last}\n"))
        });
        of_each.collect()
    }

    fn users_dir(&self) -> PathBuf {
        self.directory.path().join("users")
    }

    pub(crate) fn data_dir(&self, replica: usize) -> PathBuf {
        self.directory.path().join(format!("replica{replica}"))
    }

    fn file(&self, replica: usize, name: &str) -> PathBuf {
        self.data_dir(replica).join(PLACE).join(name)
    }

    fn copy_of(&self, replica: usize, name: &str) -> PathBuf {
        self.directory.path().join(format!("copy_of_{replica}_{name}"))
    }
}

pub(crate) const TOKENS: &str = "tokens.db";
pub(crate) const PROJECTION: &str = "projection.db";

pub(crate) fn path_of(binary: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_standalone")).with_file_name(binary)
}
