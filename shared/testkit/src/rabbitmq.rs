//! A private RabbitMQ node, from the server that Debian's package `rabbitmq-server` installs.
//!
//! It shares nothing with other nodes on this machine: it has its own name, directories, cookie,
//! ports and even port mapper (epmd), and it listens only on 127.0.0.1. The nodes of one cluster
//! share cookie and port mapper.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Called directly: the wrapper in /usr/sbin would switch to the user `rabbitmq`.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";
/// How long a node may take to start or to stop; 5 s are usual.
const BOUND: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running node, which is stopped when this value is dropped.
pub struct RabbitMq {
    /// Data, logs, configuration and home.
    directory: TempDir,
    name: String,
    port: u16,
    distribution_port: u16,
    erlang: Arc<Erlang>,
    /// The server's shell; it leads the process group that the Erlang machine is in.
    server: Option<Child>,
}

impl RabbitMq {
    /// Starts a node, and waits until it answers.
    ///
    /// # Panics
    /// The server is not installed, or does not answer within a minute.
    pub async fn start() -> Self {
        let mut node = Self::prepare(Arc::new(Erlang::start()));
        node.restart().await;
        node
    }

    /// Starts the nodes of one cluster, and waits until they have joined.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_cluster<const NODES: usize>() -> [Self; NODES] {
        let erlang = Arc::new(Erlang::start());
        let mut nodes: [Self; NODES] = std::array::from_fn(|_| Self::prepare(Arc::clone(&erlang)));
        for node in &mut nodes {
            node.spawn();
        }
        for node in &mut nodes {
            node.wait_until_it_answers().await;
        }
        let [first, others @ ..] = &nodes[..] else { return nodes };
        for node in others {
            node.join(first);
        }
        for node in &mut nodes {
            node.wait_until_it_answers().await;
        }
        nodes
    }

    fn prepare(erlang: Arc<Erlang>) -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory for RabbitMQ"),
            name: format!("lockstep_{:016x}@localhost", random()),
            port: free_port(),
            distribution_port: free_port(),
            erlang,
            server: None,
        }
    }

    /// The directory with all its files: data, logs and configuration.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its AMQP URL. It stays the same when the node is restarted.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Its AMQP address on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as an operator would, and waits until it has ended.
    pub async fn stop(&mut self) {
        if let Some(server) = &self.server {
            signal("TERM", &server.id().to_string());
        }
        self.wait_until_ended().await;
    }

    /// Kills it as a power cut would, more than a second after the last declaration of a queue.
    pub async fn kill(&mut self) {
        if let Some(server) = &self.server {
            self.write_queue_list();
            signal("KILL", &format!("-{}", server.id()));
        }
        self.wait_until_ended().await;
    }

    /// Stands still, as a paused machine would, until [`Self::resume`].
    pub fn suspend(&self) {
        self.signal_group("STOP");
    }

    /// Goes on.
    pub fn resume(&self) {
        self.signal_group("CONT");
    }

    fn signal_group(&self, name: &str) {
        if let Some(server) = &self.server {
            signal(name, &format!("-{}", server.id()));
        }
    }

    /// Separates this node from others of its cluster: all of them run, and clients reach them, but no
    /// connection between it and them lives or can be made until [`Self::reunite`].
    pub fn part_from(&self, others: &[&Self]) {
        // A connection is made if both ends have the same cookie for each other.
        let disconnect = "erlang:disconnect_node(N)";
        self.set_cookie(others, "here", disconnect);
        for other in others {
            other.set_cookie(&[self], "there", disconnect);
        }
    }

    /// Ends [`Self::part_from`], and waits until this node serves clients again.
    pub async fn reunite(&mut self, others: &[&Self]) {
        let cookie = self.erlang.cookie.clone();
        for other in others {
            other.set_cookie(&[self], &cookie, "ok");
        }
        self.set_cookie(others, &cookie, "ok");
        self.wait_until_it_answers().await;
    }

    /// Makes this node use a cookie for each of the others, and then evaluates Erlang with the name `N` of each.
    fn set_cookie(&self, others: &[&Self], cookie: &str, then: &str) {
        let set = |other: &&Self| {
            let name = &other.name;
            format!("(fun(N) -> erlang:set_cookie(N, '{cookie}'), {then} end)('{name}')")
        };
        let all: Vec<_> = others.iter().map(set).collect();
        self.control(&["eval", &(all.join(", ") + ".")]);
    }

    /// Joins the cluster of `other` with an empty disk, after that one has forgotten it.
    ///
    /// # Panics
    /// It fails.
    pub async fn join_again(&mut self, other: &Self) {
        self.wipe();
        other.control(&["forget_cluster_node", &self.name]);
        self.restart().await;
        self.join(other);
        self.wait_until_it_answers().await;
        // Every quorum queue gets a member here again, as `rabbitmq-queues grow` does.
        let grow = "rabbit_quorum_queue:grow(node(), <<\".*\">>, <<\".*\">>, all).";
        self.control(&["eval", grow]);
    }

    fn join(&self, other: &Self) {
        self.control(&["stop_app"]);
        self.control(&["reset"]);
        self.control(&["join_cluster", &other.name]);
        self.control(&["start_app"]);
    }

    /// Makes it write the list of its quorum queues to disk. It does so by itself within a second
    /// of their declaration. If it is killed before, it comes back with queues that never confirm
    /// anything (seen on 3.10.8; similar to rabbitmq-server issue 15725): the tests that kill it
    /// are not about that.
    fn write_queue_list(&self) {
        self.control(&["eval", "lists:foreach(fun dets:sync/1, dets:all())."]);
    }

    /// Deletes all its data. It must be stopped.
    pub fn wipe(&mut self) {
        assert!(self.server.is_none(), "RabbitMQ is running: stop it before wiping it");
        let _ = fs::remove_dir_all(self.path("data"));
    }

    /// Starts it again, with the same ports and data; does nothing if it runs.
    pub async fn restart(&mut self) {
        if self.server.is_some() {
            return;
        }
        self.spawn();
        self.wait_until_it_answers().await;
    }

    fn spawn(&mut self) {
        self.write_configuration().expect("RabbitMQ's configuration can be written");
        self.server = Some(self.spawn_server());
    }

    async fn wait_until_it_answers(&mut self) {
        let started = Instant::now();
        while !self.answers() {
            if let Some(status) = self.ended() {
                self.fail(&format!("ended with {status}"));
            }
            if started.elapsed() > BOUND {
                self.fail(&format!("did not answer within {BOUND:?}"));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Runs `rabbitmqctl` on it; returns its output.
    ///
    /// # Panics
    /// It fails.
    pub fn control(&self, arguments: &[&str]) -> String {
        let output = self
            .command(CONTROL, "control.log")
            .args(["--quiet", "--node", &self.name])
            .args(arguments)
            .stdout(Stdio::piped())
            .output()
            .expect("rabbitmqctl can be started");
        let errors = fs::read_to_string(self.path("home").join("control.log")).unwrap_or_default();
        assert!(output.status.success(), "rabbitmqctl {arguments:?} failed: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log").join("node.log")).unwrap_or_default()
    }

    async fn wait_until_ended(&mut self) {
        let asked = Instant::now();
        while self.server.is_some() && self.ended().is_none() {
            if asked.elapsed() > BOUND {
                self.fail(&format!("did not end within {BOUND:?}"));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.server = None;
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.server.as_mut().and_then(|server| server.try_wait().ok().flatten())
    }

    /// It listens only when it is ready, and then answers AMQP's greeting.
    fn answers(&self) -> bool {
        let greet = || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"AMQP\0\0\x09\x01")?;
            stream.read_exact(&mut [0])
        };
        greet().is_ok()
    }

    fn write_configuration(&self) -> std::io::Result<()> {
        for directory in ["home", "data", "log", "generated"] {
            fs::create_dir_all(self.path(directory))?;
        }
        fs::write(self.path("enabled_plugins"), "[].\n")?;
        // Alarms play no part in these tests, and a small journal keeps the node small.
        let settings = format!(
            "listeners.tcp.local = 127.0.0.1:{}\n\
             disk_free_limit.absolute = 1MB\n\
             vm_memory_high_watermark.relative = 0.8\n\
             raft.wal_max_size_bytes = 16777216\n\
             cluster_partition_handling = pause_minority\n\
             log.file.level = info\n",
            self.port
        );
        fs::write(self.path("rabbitmq.conf"), settings)?;
        self.erlang.write_cookie(&self.path("home"))
    }

    fn spawn_server(&self) -> Child {
        assert!(
            Path::new(SERVER).exists(),
            "{SERVER} is not there: these tests need RabbitMQ (apt-get install rabbitmq-server)"
        );
        let erlang = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 2:2";
        self.command(SERVER, "console.log")
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_CONFIG_FILE", self.path("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", self.path("none"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("enabled_plugins"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", self.path("generated"))
            .env("RABBITMQ_MNESIA_BASE", self.path("data"))
            .env("RABBITMQ_LOG_BASE", self.path("log"))
            .env("RABBITMQ_LOGS", self.path("log").join("node.log"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erlang)
            // The fewest that Erlang allows in practice: tables for a million ports need memory.
            .env("RABBITMQ_MAX_NUMBER_OF_PROCESSES", "65536")
            .spawn_or_fail()
    }

    /// A command that inherits nothing from this process, neither settings nor terminal.
    fn command(&self, program: &str, output: &str) -> Command {
        let output = File::create(self.path("home").join(output)).expect("a file for output");
        let mut command = Command::new(program);
        prepare_command(&mut command, &self.path("home"), self.erlang.port);
        command.stderr(output.try_clone().expect("a file for errors")).stdout(output);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn fail(&self, what: &str) -> ! {
        let tail = |path: PathBuf| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(30)..].join("\n")
        };
        let console = tail(self.path("home").join("console.log"));
        let log = tail(self.path("log").join("node.log"));
        panic!("RabbitMQ {what}. It said:\n{console}\nand logged:\n{log}");
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal("KILL", &format!("-{}", server.id()));
            let _ = server.wait();
        }
    }
}

/// The files and processes that the nodes of one cluster share.
struct Erlang {
    port: u16,
    cookie: String,
    /// The port mapper (epmd), which tells nodes the ports of each other.
    epmd: Child,
    /// Its home.
    _directory: TempDir,
}

impl Erlang {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory for epmd");
        let (port, cookie) = (free_port(), format!("COOKIE{:016X}", random()));
        let mut command = Command::new("epmd");
        prepare_command(&mut command, directory.path(), port);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let epmd =
            command.args(["-address", "127.0.0.1", "-port", &port.to_string()]).spawn_or_fail();
        Self { port, cookie, epmd, _directory: directory }
    }

    /// Erlang creates a cookie in its home if there is none.
    fn write_cookie(&self, home: &Path) -> std::io::Result<()> {
        let path = home.join(".erlang.cookie");
        if !path.exists() {
            fs::write(&path, &self.cookie)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o400))?;
        }
        Ok(())
    }
}

impl Drop for Erlang {
    fn drop(&mut self) {
        let _ = self.epmd.kill();
        let _ = self.epmd.wait();
    }
}

/// It inherits nothing from this process, neither settings nor terminal.
fn prepare_command(command: &mut Command, home: &Path, epmd_port: u16) {
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .env("HOME", home)
        .env("ERL_EPMD_PORT", epmd_port.to_string())
        .current_dir(home)
        .stdin(Stdio::null())
        .process_group(0);
}

/// Starts a program; a failure names the program.
trait SpawnOrFail {
    fn spawn_or_fail(&mut self) -> Child;
}

impl SpawnOrFail for Command {
    fn spawn_or_fail(&mut self) -> Child {
        let program = self.get_program().to_owned();
        self.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()))
    }
}

/// Signals a process, or a process group by its negative number. The standard library cannot.
pub(crate) fn signal(name: &str, process: &str) {
    let _ =
        Command::new("/bin/sh").args(["-c", "kill -s \"$0\" -- \"$1\"", name, process]).status();
}

/// A port below the range that the kernel uses for outgoing connections. A port in that range might
/// be taken while the node is down.
///
/// # Panics
/// There is none.
pub fn free_port() -> u16 {
    (0..1_000)
        .map(|_| 10_000 + u16::try_from(random() % 20_000).unwrap_or_default())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
