//! The processes, and what is between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use testkit::pgbouncer::PgBouncer;
use testkit::postgres::Postgres;
use testkit::rabbitmq::{RabbitMq, free_port};
use testkit::service_process::ServiceProcess;
use testkit::tcp_proxy::TcpProxy;
use testkit::wait::until;

use crate::history::Users;
use crate::replicas::fleet::path_of;

/// 32 bytes: the services have no directory in common.
pub(crate) const SEALING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// How many user_services there are.
pub(crate) const USERS: usize = 2;
/// The one that reaches PostgreSQL through PgBouncer.
pub(crate) const POOLED: usize = 1;
/// Longer than a lease.
const PATIENCE: Duration = Duration::from_secs(20);

/// The whole system.
pub(crate) struct Fleet {
    pub(crate) brokers: Vec<RabbitMq>,
    /// The primary.
    pub(crate) database: Postgres,
    /// The database's address, as each user_service knows it: it goes where the primary is.
    ways: [TcpProxy; USERS],
    pub(crate) pooler: PgBouncer,
    users: [Option<ServiceProcess>; USERS],
    auth: Vec<ServiceProcess>,
    /// Where the user_services listen.
    pub(crate) addresses: [SocketAddr; USERS],
    // The last to go: the processes write there.
    directory: tempfile::TempDir,
}

impl Fleet {
    /// All are ready.
    pub(crate) async fn start(replicas: usize, brokers: usize) -> Self {
        let brokers = match brokers {
            1 => vec![RabbitMq::start().await],
            3 => RabbitMq::start_cluster::<3>().await.into(),
            other => panic!("{other} brokers: one or three"),
        };
        let database = Postgres::start().await;
        let target = database.address();
        let ways = [TcpProxy::start(target).await, TcpProxy::start(target).await];
        let pooler = PgBouncer::start(ways[POOLED].port()).await;
        let addresses = [(); USERS].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let (users, auth) = ([None, None], Vec::new());
        let directory = tempfile::tempdir().unwrap();
        let mut fleet = Self { brokers, database, ways, pooler, users, auth, addresses, directory };
        for number in 0..USERS {
            fleet.launch(number);
        }
        for number in 0..replicas {
            fleet.auth.push(fleet.start_auth(number));
        }
        for address in fleet.addresses {
            ServiceProcess::wait_until_ready(address);
        }
        for auth in &fleet.auth {
            ServiceProcess::wait_until_ready(auth.address_of("auth_service"));
        }
        fleet
    }

    /// Starts a user_service, and waits until it listens.
    pub(crate) fn launch(&mut self, number: usize) {
        let direct = self.database.url_through(self.ways[number].port());
        let pooled = self.pooler.url(&self.database);
        let (data_dir, listen) = (self.path(&format!("users{number}")), self.addresses[number]);
        let (listen, brokers) = (listen.to_string(), self.amqp_url());
        let mut settings = settings(&data_dir, &brokers);
        settings.push(("USER_SERVICE_LISTEN", &listen));
        if number == POOLED {
            settings.extend([("DATABASE_URL", &*pooled), ("DATABASE_LISTEN_URL", &direct)]);
        } else {
            settings.push(("DATABASE_URL", &direct));
        }
        let process = ServiceProcess::start(&path_of("user_service"), &settings);
        process.address_of("user_service");
        self.users[number] = Some(process);
    }

    fn start_auth(&self, number: usize) -> ServiceProcess {
        let (data_dir, brokers) = (self.path(&format!("auth{number}")), self.amqp_url());
        let mut settings = settings(&data_dir, &brokers);
        settings.push(("AUTH_SERVICE_LISTEN", "127.0.0.1:0"));
        ServiceProcess::start(&path_of("auth_service"), &settings)
    }

    /// All nodes.
    fn amqp_url(&self) -> String {
        let hosts = self.brokers.iter().map(|node| format!("127.0.0.1:{}", node.port()));
        format!("amqp://guest:guest@{}/%2f", hosts.collect::<Vec<_>>().join(","))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, number: usize) {
        self.users[number] = None;
    }

    pub(crate) fn process(&self, number: usize) -> &ServiceProcess {
        self.users[number].as_ref().unwrap()
    }

    /// Its way to the database.
    pub(crate) fn way(&self, number: usize) -> &TcpProxy {
        &self.ways[number]
    }

    /// Which user_service has the publisher's lease.
    pub(crate) async fn holder(&self) -> usize {
        until("one process has the lease", PATIENCE, async || {
            let sql = "SELECT holder_name FROM published WHERE until > clock_timestamp()";
            let holder = self.database.try_sql(sql).ok()?;
            let (_, pid) = holder.split_once('/')?;
            let is_holder = |process: &Option<ServiceProcess>| {
                process.as_ref().is_some_and(|process| process.id().to_string() == pid)
            };
            self.users.iter().position(is_holder)
        })
        .await
    }

    /// The standby takes over, and the database's address goes with it.
    pub(crate) fn hand_over_to(&mut self, standby: Postgres) {
        standby.take_over();
        for way in &self.ways {
            way.redirect(standby.address());
            way.cut();
            way.heal();
        }
        self.database = standby;
    }

    /// The files of all projections.
    pub(crate) fn projections(&self) -> Vec<PathBuf> {
        let place = |number: usize| self.path(&format!("auth{number}/replica-1/projection.db"));
        (0..self.auth.len()).map(place).collect()
    }

    /// Everybody who is there now.
    pub(crate) fn stored_users(&self) -> Users {
        crate::users_at::UsersAt::from(&self.database).read().unwrap().users
    }

    /// The last that all have logged.
    pub(crate) fn log(&self) -> String {
        let all = self.users.iter().flatten().chain(&self.auth);
        let of_each = all.map(|process| {
            let lines = process.take_log();
            lines[lines.len().saturating_sub(25)..].join("\n") + "\n---\n"
        });
        of_each.collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Those of every process.
pub(crate) fn settings<'a>(
    data_dir: &'a std::path::Path,
    brokers: &'a str,
) -> Vec<(&'a str, &'a str)> {
    vec![
        ("DATA_DIR", data_dir.to_str().unwrap()),
        ("AMQP_URL", brokers),
        ("SEALING_KEY", SEALING_KEY),
        // What hashing costs is not tested here.
        ("ARGON2_MEMORY_KIB", "64"),
        ("LOG", "info,access=warn"),
    ]
}
