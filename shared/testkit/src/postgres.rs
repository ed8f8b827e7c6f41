//! A private PostgreSQL server, from the package `postgresql` of Debian.
//!
//! It shares nothing with other servers on this machine: it has its own directory and port, listens
//! only on 127.0.0.1, and needs no system-wide cluster. PostgreSQL refuses to run as root, so root's
//! tests run it as the user `postgres`, which the package makes.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::rabbitmq::{free_port, signal};

/// Where Debian's packages have the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// How long the server may take to start or to stop; half a second is usual.
const BOUND: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How a server of the tests runs: small and quick.
const QUICK: &[&str] = &[
    // A crash of the server loses nothing that the system has taken: only a power cut would.
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "max_connections=60",
    "max_wal_size=64MB",
];
/// How a server runs that is measured: as its makers deliver it, with more connections.
const DURABLE: &[&str] = &["fsync=on", "synchronous_commit=on", "max_connections=200"];
/// The role that the tests use, which owns the database `lockstep`.
pub(crate) const ROLE: &str = "lockstep";
/// Who may do everything.
const SUPERUSER: &str = "root";
/// The database that it owns.
const DATABASE: &str = "lockstep";
/// Its password: nothing may ever show it.
pub const PASSWORD: &str = "canary-password-of-postgres";

/// A running server, which is stopped when this value is dropped.
pub struct Postgres {
    /// Data and logs.
    directory: TempDir,
    programs: PathBuf,
    port: u16,
    settings: &'static [&'static str],
    server: Option<Child>,
}

impl Postgres {
    /// Starts a server with an empty database `lockstep`, and waits until it answers.
    ///
    /// # Panics
    /// PostgreSQL is not installed, or does not answer within a minute.
    pub async fn start() -> Self {
        let programs = programs();
        let directory = tempfile::tempdir().expect("a directory for PostgreSQL");
        run(Command::new("cp")
            .arg("-a")
            .arg(template(&programs))
            .arg(directory.path().join("data")));
        give_to_server(directory.path());
        Self::start_on(directory, programs, QUICK).await
    }

    /// The same as in production: a change is on the disk when it is answered.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_durable() -> Self {
        let programs = programs();
        let directory = make_data(&programs, &[]);
        Self::start_on(directory, programs, DURABLE).await
    }

    async fn start_on(
        directory: TempDir,
        programs: PathBuf,
        settings: &'static [&'static str],
    ) -> Self {
        let port = free_port();
        let mut server = Self { directory, programs, port, settings, server: None };
        server.restart().await;
        server
    }

    /// Runs a program of its version, such as `pgbench`.
    pub fn command(&self, program: &str) -> Command {
        Command::new(self.programs.join(program))
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The URL of the database, which the role owns. It stays the same when the server is restarted.
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The URL by another port, of a proxy.
    pub fn url_through(&self, port: u16) -> String {
        format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}")
    }

    /// The URL of another database of the same role.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL in the database as its owner; returns its output, unaligned and without headings.
    ///
    /// # Panics
    /// It fails.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|errors| panic!("{sql}: {errors}"))
    }

    /// Runs SQL in another database of the same role.
    ///
    /// # Panics
    /// It fails.
    pub fn sql_in(&self, database: &str, sql: &str) -> String {
        self.psql(&self.url_of(database), sql).unwrap_or_else(|errors| panic!("{sql}: {errors}"))
    }

    /// The same as [`Self::sql`], where the server may be away.
    ///
    /// # Errors
    /// It fails, with what psql tells.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        self.psql(&self.url(), sql)
    }

    /// Runs SQL in the database `postgres` as superuser.
    ///
    /// # Panics
    /// It fails.
    pub fn sql_as_superuser(&self, sql: &str) -> String {
        let url = format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/postgres", self.port);
        self.psql(&url, sql).unwrap_or_else(|errors| panic!("{sql}: {errors}"))
    }

    /// Variables with which the programs of PostgreSQL connect as superuser.
    pub fn superuser_variables(&self) -> Vec<(&'static str, String)> {
        let address = self.address();
        vec![
            ("PGHOST", address.ip().to_string()),
            ("PGPORT", address.port().to_string()),
            ("PGUSER", SUPERUSER.to_owned()),
            ("PGPASSWORD", PASSWORD.to_owned()),
        ]
    }

    fn psql(&self, url: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .expect("psql can be started");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Offers TLS with this certificate from now on, beside connections without it.
    ///
    /// # Panics
    /// The files cannot be read.
    pub fn offer_tls(&self, (certificate, key): &(PathBuf, PathBuf)) {
        let data = self.directory.path().join("data");
        fs::copy(certificate, data.join("server.crt")).expect("a certificate");
        fs::copy(key, data.join("server.key")).expect("a key");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(data.join("server.key"), private).expect("a private key");
        give_to_server(&data);
        self.sql_as_superuser("ALTER SYSTEM SET ssl = on");
        self.sql_as_superuser("SELECT pg_reload_conf()");
        let asked = Instant::now();
        while self.sql_as_superuser("SHOW ssl") != "on" {
            assert!(asked.elapsed() < BOUND, "PostgreSQL offers no TLS:\n{}", self.log());
        }
    }

    /// COMMIT is answered from now on when a standby has it as well.
    ///
    /// # Panics
    /// It cannot be set.
    pub fn wait_for_standby(&self) {
        self.sql_as_superuser("ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.sql_as_superuser("SELECT pg_reload_conf()");
    }

    /// COMMIT waits for no standby from now on.
    ///
    /// # Panics
    /// It cannot be set.
    pub fn wait_for_nobody(&self) {
        self.sql_as_superuser("ALTER SYSTEM RESET synchronous_standby_names");
        self.sql_as_superuser("SELECT pg_reload_conf()");
    }

    /// Replaces the database by a copy of another, whose connections are ended.
    pub fn copy_database(&self, from: &str, to: &str) {
        self.sql_as_superuser(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{from}'"
        ));
        self.sql_as_superuser(&format!("DROP DATABASE IF EXISTS {to} WITH (FORCE)"));
        self.sql_as_superuser(&format!("CREATE DATABASE {to} TEMPLATE {from} OWNER {ROLE}"));
    }

    /// Stops it as an operator in a hurry would (`pg_ctl -m fast`), and waits until it has ended.
    pub async fn stop(&mut self) {
        self.end("INT").await;
    }

    /// Stops it as a crash would (`pg_ctl -m immediate`): the next start recovers from its log.
    pub async fn kill(&mut self) {
        self.end("QUIT").await;
    }

    /// Starts it again, with the same port and data; does nothing if it runs.
    pub async fn restart(&mut self) {
        if self.server.is_some() {
            return;
        }
        self.server = Some(self.spawn());
        let started = Instant::now();
        while !self.answers() {
            let ended = self.server.as_mut().and_then(|server| server.try_wait().ok().flatten());
            assert!(ended.is_none(), "PostgreSQL ended with {ended:?}:\n{}", self.log());
            assert!(started.elapsed() < BOUND, "PostgreSQL does not answer:\n{}", self.log());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Makes a base backup while the server runs, in the place of the last one.
    ///
    /// # Panics
    /// It fails.
    pub fn take_base_backup(&self) {
        let backup = self.base_backup();
        let _ = fs::remove_dir_all(&backup);
        self.back_up_to(&backup, &[]);
    }

    fn back_up_to(&self, directory: &Path, options: &[&str]) {
        let mut command = self.command("pg_basebackup");
        command.arg("--checkpoint=fast").args(options).arg("-D").arg(directory);
        run(as_server(&mut command).envs(self.superuser_variables()).stdout(Stdio::null()));
    }

    /// Stops the server, and starts it from the base backup, as an operator does after a disaster.
    pub async fn put_base_backup_back(&mut self) {
        self.kill().await;
        let data = self.directory.path().join("data");
        fs::remove_dir_all(&data).expect("the data of PostgreSQL");
        run(Command::new("cp").arg("-a").arg(self.base_backup()).arg(data));
        self.restart().await;
    }

    /// Starts the server again as a standby, and promotes it: it goes on, on a new timeline.
    pub async fn promote(&mut self) {
        self.stop().await;
        let data = self.directory.path().join("data");
        fs::write(data.join("standby.signal"), "").expect("a file in the data of PostgreSQL");
        give_to_server(&data);
        self.restart().await;
        self.take_over();
    }

    /// Starts a standby of it, which receives what it writes.
    pub async fn start_standby(&self) -> Self {
        let directory = tempfile::tempdir().expect("a directory for a standby");
        give_to_server(directory.path());
        self.back_up_to(&directory.path().join("data"), &["--write-recovery-conf"]);
        Self::start_on(directory, self.programs.clone(), self.settings).await
    }

    /// Whether this standby has received all that its primary has written.
    pub fn is_level_with(&self, primary: &Self) -> bool {
        let end = primary.sql_as_superuser("SELECT pg_current_wal_flush_lsn()");
        let sql = format!("SELECT coalesce(pg_last_wal_receive_lsn() >= '{end}', false)");
        self.sql_as_superuser(&sql) == "t"
    }

    /// This standby receives nothing more: what its primary writes from now on is never sent.
    pub fn stop_receiving(&self) {
        self.sql_as_superuser("ALTER SYSTEM SET primary_conninfo = ''");
        self.sql_as_superuser("SELECT pg_reload_conf()");
        let receiving = "SELECT count(*) FROM pg_stat_wal_receiver";
        let asked = Instant::now();
        while self.sql_as_superuser(receiving) != "0" {
            assert!(asked.elapsed() < BOUND, "the standby goes on receiving:\n{}", self.log());
        }
    }

    /// This standby becomes the primary, on a new timeline; returns when it can be written.
    pub fn take_over(&self) {
        self.sql_as_superuser("SELECT pg_promote()");
    }

    fn base_backup(&self) -> PathBuf {
        self.directory.path().join("base-backup")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    async fn end(&mut self, how: &str) {
        let Some(mut server) = self.server.take() else { return };
        signal(how, &server.id().to_string());
        let asked = Instant::now();
        while server.try_wait().ok().flatten().is_none() {
            assert!(asked.elapsed() < BOUND, "PostgreSQL does not end:\n{}", self.log());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn spawn(&self) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("log"))
            .expect("a file for PostgreSQL's log");
        let port = self.port.to_string();
        let private = ["listen_addresses=127.0.0.1", "unix_socket_directories="];
        let mut command = Command::new(self.programs.join("postgres"));
        command.arg("-D").arg(self.directory.path().join("data")).args(["-p", &port]);
        for setting in private.iter().chain(self.settings) {
            command.args(["-c", setting]);
        }
        as_server(&mut command)
            .stdout(log.try_clone().expect("a file for PostgreSQL's output"))
            .stderr(log)
            // Its children must not get the signals that the terminal sends to the tests.
            .process_group(0)
            .spawn()
            .expect("PostgreSQL can be started")
    }

    fn answers(&self) -> bool {
        let port = self.port.to_string();
        let asked = Command::new(self.programs.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port])
            .status();
        asked.is_ok_and(|status| status.success())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal("QUIT", &server.id().to_string());
            let _ = server.wait();
        }
    }
}

/// The newest version that is installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let newest = versions
        .map(|entry| entry.path().join("bin"))
        .filter(|programs| programs.join("postgres").exists())
        .max_by_key(|programs| version(programs));
    newest.unwrap_or_else(|| {
        panic!("{VERSIONS}: these tests need PostgreSQL (scripts/install.sh postgresql)")
    })
}

fn version(programs: &Path) -> u32 {
    let name = programs.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).unwrap_or(0)
}

/// Data of a new server with the role and its database. It is made once, which takes seconds, and
/// copied from then on; it lies beside the tests' binaries, and goes with them.
fn template(programs: &Path) -> PathBuf {
    let binary = std::env::current_exe().expect("the path of this test");
    let beside = binary.parent().expect("the directory of this test");
    let template = beside.join(format!("postgres-{}-data", version(programs)));
    if !template.exists() {
        let made = make_data(programs, &["--no-sync", "--wal-segsize", "1"]);
        let new = beside.join(format!("postgres-{}-{}", version(programs), std::process::id()));
        run(Command::new("cp").arg("-a").arg(made.path().join("data")).arg(&new));
        // Another test may have been quicker; its data is as good.
        if fs::rename(&new, &template).is_err() {
            let _ = fs::remove_dir_all(&new);
        }
    }
    template
}

/// Makes the data of a new server, in the directory `data` of what is returned.
fn make_data(programs: &Path, options: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory for PostgreSQL");
    let (data, password) = (directory.path().join("data"), directory.path().join("password"));
    fs::write(&password, PASSWORD).expect("a file for the password");
    give_to_server(directory.path());
    let mut initdb = Command::new(programs.join("initdb"));
    initdb.arg("-D").arg(&data).arg("--pwfile").arg(&password);
    initdb.args(["-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8", "--locale", "C.UTF-8"]);
    initdb.args(options);
    run(as_server(&mut initdb).stdout(Stdio::null()));
    for (database, sql) in [
        ("postgres", format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")),
        ("postgres", format!("CREATE DATABASE {DATABASE} OWNER {ROLE}")),
    ] {
        let mut single = Command::new(programs.join("postgres"));
        single.args(["--single", "-D"]).arg(&data).arg(database);
        let script = directory.path().join("script");
        fs::write(&script, sql + "\n").expect("a file for SQL");
        let script = File::open(script).expect("the file with SQL");
        run(as_server(&mut single).stdin(script).stdout(Stdio::null()));
    }
    directory
}

/// Runs the program as a user who may run PostgreSQL, with nothing of this process's environment.
pub(crate) fn as_server(command: &mut Command) -> &mut Command {
    command.env_clear().env("LANG", "C.UTF-8").current_dir("/").stdin(Stdio::null());
    if let Some((user, group)) = server_user() {
        command.uid(user).gid(group);
    }
    command
}

pub(crate) fn give_to_server(directory: &Path) {
    if let Some((user, group)) = server_user() {
        run(Command::new("chown").arg("-R").arg(format!("{user}:{group}")).arg(directory));
    }
}

/// The user and group to be taken by root; `None` for everybody else.
fn server_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !is_root {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the list of users");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.expect("the user postgres").split(':').skip(2);
    let mut number = || fields.next().and_then(|field| field.parse().ok());
    Some((number()?, number()?))
}

fn run(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
}
