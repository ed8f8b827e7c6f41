//! The system that faults are tried on: the real binaries, on files of their own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use testkit::rabbitmq::{RabbitMq, free_port};
use testkit::service_process::{ServiceProcess, Usage};
use testkit::tcp_proxy::TcpProxy;

use crate::disk::SmallDisk;
use crate::sabotaged_service::Mistake;

/// 32 bytes: the services have no directory in common.
const SEALING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// A follower that is further behind gets a snapshot: few, so that both answers are needed.
pub(crate) const REPLAY_LIMIT: i64 = 400;

/// One side of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// user_service; in one process that one.
    User,
    /// auth_service.
    Auth,
}

/// The processes, their data and what is between them.
pub(crate) struct Rig {
    /// None in one process.
    pub(crate) bus: Option<BusBetween>,
    user: Option<ServiceProcess>,
    auth: Option<ServiceProcess>,
    ports: [u16; 2],
    replay_limit: i64,
    /// auth_service may ask user_service directly.
    pub(crate) is_direct: bool,
    /// Clients of a round log in and out as well.
    pub(crate) has_sessions: bool,
    /// Settings beside the usual ones.
    extra: Vec<(&'static str, &'static str)>,
    /// What the process does wrong.
    mistake: Option<Mistake>,
    // The last to go: the processes write there.
    disks: [SmallDisk; 2],
    directory: TempDir,
}

/// RabbitMQ, with a network of each service's own before it.
pub(crate) struct BusBetween {
    pub(crate) broker: RabbitMq,
    user: TcpProxy,
    auth: TcpProxy,
}

impl BusBetween {
    /// What the side sends and receives goes through it.
    pub(crate) fn network(&self, side: Side) -> &TcpProxy {
        match side {
            Side::User => &self.user,
            Side::Auth => &self.auth,
        }
    }
}

impl Rig {
    /// Two processes and a broker.
    pub(crate) async fn over_rabbitmq() -> Self {
        Self::over_rabbitmq_with(REPLAY_LIMIT).await
    }

    /// Two processes and a broker. A follower that is further behind than so many records gets a
    /// snapshot.
    pub(crate) async fn over_rabbitmq_with(replay_limit: i64) -> Self {
        let broker = RabbitMq::start().await;
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, broker.port()));
        let (user, auth) = (TcpProxy::start(target).await, TcpProxy::start(target).await);
        Self::new(Some(BusBetween { broker, user, auth }), replay_limit, None)
    }

    /// The standalone binary.
    pub(crate) fn in_one_process() -> Self {
        Self::new(None, REPLAY_LIMIT, None)
    }

    /// Both services in one process that makes this mistake.
    pub(crate) fn sabotaged(mistake: Mistake) -> Self {
        Self::new(None, REPLAY_LIMIT, Some(mistake))
    }

    fn new(bus: Option<BusBetween>, replay_limit: i64, mistake: Option<Mistake>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disks = ["user", "auth"].map(|name| SmallDisk::mount(&directory.path().join(name)));
        let ports = [free_port(), free_port()];
        let (user, auth) = (None, None);
        let mut rig = Self {
            bus,
            user,
            auth,
            ports,
            replay_limit,
            is_direct: false,
            has_sessions: false,
            extra: Vec::new(),
            mistake,
            disks,
            directory,
        };
        rig.start(Side::User, None);
        rig.start(Side::Auth, None);
        rig
    }

    /// Starts the side, with a fail point if one is named; does nothing to one that runs.
    pub(crate) fn start(&mut self, side: Side, fail_point: Option<&str>) {
        let (binary, service) = match (side, &self.bus) {
            (Side::User, None) => ("standalone", "auth_service"),
            // It is in the same process.
            (Side::Auth, None) => return,
            (Side::User, Some(_)) => ("user_service", "user_service"),
            (Side::Auth, Some(_)) => ("auth_service", "auth_service"),
        };
        if self.process(side).is_some() {
            return;
        }
        let [users, auth] = self.ports.map(|port| format!("127.0.0.1:{port}"));
        let url = self
            .bus
            .as_ref()
            .map(|bus| format!("amqp://guest:guest@127.0.0.1:{}/%2f", bus.network(side).port()));
        let data_dir = self.data_dir(side).to_owned();
        let limit = self.replay_limit.to_string();
        let mut settings = vec![
            ("DATA_DIR", data_dir.to_str().unwrap()),
            ("USER_SERVICE_LISTEN", &users),
            ("AUTH_SERVICE_LISTEN", &auth),
            ("SEALING_KEY", SEALING_KEY),
            // What hashing costs is not tested here.
            ("ARGON2_MEMORY_KIB", "64"),
            ("SYNC_REPLAY_LIMIT", &limit),
            // What is told when something is wrong: not each request.
            ("LOG", "info,access=warn"),
        ];
        settings.extend(url.as_deref().map(|url| ("AMQP_URL", url)));
        let user_service = format!("http://{users}");
        settings.extend(self.is_direct.then_some(("USER_SERVICE_URL", user_service.as_str())));
        settings.extend(&self.extra);
        settings.extend(fail_point.map(|name| ("FAIL_POINT", name)));
        let process = if let Some(mistake) = self.mistake {
            ServiceProcess::spawn(mistake.command(), &settings)
        } else {
            let path = Path::new(env!("CARGO_BIN_EXE_standalone")).with_file_name(binary);
            ServiceProcess::start(&path, &settings)
        };
        if fail_point.is_none() {
            process.address_of(service);
        }
        *self.process(side) = Some(process);
    }

    /// Starts both sides anew, from now on with these settings.
    pub(crate) fn restart_with(&mut self, extra: Vec<(&'static str, &'static str)>) {
        self.extra = extra;
        for side in [Side::User, Side::Auth] {
            self.kill(side);
            self.start(side, None);
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, side: Side) {
        if let Some(process) = self.process(side).take() {
            process.kill();
        }
    }

    /// Whether it has died by itself.
    pub(crate) fn has_died(&mut self, side: Side) -> bool {
        self.process(side).as_mut().is_none_or(ServiceProcess::has_ended)
    }

    /// The last that both have logged.
    pub(crate) fn log(&self) -> String {
        let processes = [("user_service", &self.user), ("auth_service", &self.auth)];
        let of_each = processes.into_iter().filter_map(|(name, process)| {
            let lines = process.as_ref()?.take_log();
            let last = lines[lines.len().saturating_sub(25)..].join("\n");
            Some(format!("--- {name} has logged:\n{last}\n"))
        });
        of_each.collect()
    }

    /// What the side's process uses now. It must run.
    pub(crate) fn usage(&mut self, side: Side) -> Usage {
        self.process(side).as_ref().unwrap().usage()
    }

    fn process(&mut self, side: Side) -> &mut Option<ServiceProcess> {
        match (side, &self.bus) {
            (Side::Auth, Some(_)) => &mut self.auth,
            _ => &mut self.user,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self, side: Side) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[side as usize]))
    }

    /// The disk that has the side's data.
    pub(crate) fn disk(&self, side: Side) -> &SmallDisk {
        match (side, &self.bus) {
            (Side::Auth, Some(_)) => &self.disks[1],
            _ => &self.disks[0],
        }
    }

    fn data_dir(&self, side: Side) -> &Path {
        self.disk(side).path()
    }

    /// The side's database.
    pub(crate) fn database(&self, side: Side) -> PathBuf {
        self.data_dir(side).join(match (side, &self.bus) {
            (Side::User, _) => "users.db",
            (Side::Auth, None) => "projection.db",
            (Side::Auth, Some(_)) => "replica-1/projection.db",
        })
    }

    /// A copy of the side's database as of now, for [`Self::restore`].
    pub(crate) fn back_up(&self, side: Side) {
        let copy = self.backup(side);
        let _ = fs::remove_file(&copy);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = Connection::open_with_flags(self.database(side), flags).unwrap();
        database.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    }

    /// Removes the side's database. It must not run.
    pub(crate) fn remove_database(&self, side: Side) {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = self.database(side).into_os_string();
            path.push(suffix);
            let _ = fs::remove_file(path);
        }
    }

    /// Puts the copy in the place of the side's database. It must not run.
    pub(crate) fn restore(&self, side: Side) {
        self.remove_database(side);
        fs::copy(self.backup(side), self.database(side)).unwrap();
    }

    fn backup(&self, side: Side) -> PathBuf {
        self.directory.path().join(format!("backup_of_{side:?}.db"))
    }
}
