//! A private PgBouncer in transaction mode, from Debian's package `pgbouncer`.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::postgres::{PASSWORD, Postgres, ROLE, as_server, give_to_server};
use crate::rabbitmq::free_port;

const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// How long it may take to start.
const BOUND: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A running pooler, which is stopped when this value is dropped.
pub struct PgBouncer {
    /// Its configuration.
    directory: TempDir,
    port: u16,
    process: Option<Child>,
}

impl PgBouncer {
    /// Starts it in front of a server; `port` is where the server listens, or a proxy of it.
    ///
    /// # Panics
    /// It is not installed, or does not start.
    pub async fn start(port_of_server: u16) -> Self {
        let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port());
        let settings = format!(
            "[databases]\n\
             lockstep = host=127.0.0.1 port={port_of_server} dbname=lockstep user={ROLE} password={PASSWORD}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = plain\n\
             auth_file = {users}\n\
             pool_mode = transaction\n\
             default_pool_size = 10\n\
             server_login_retry = 1\n",
            users = directory.path().join("users").display(),
        );
        fs::write(directory.path().join("pgbouncer.ini"), settings).expect("its settings");
        let users = format!("\"{ROLE}\" \"{PASSWORD}\"\n");
        fs::write(directory.path().join("users"), users).expect("its users");
        give_to_server(directory.path());
        let mut pooler = Self { directory, port, process: None };
        pooler.restart().await;
        pooler
    }

    /// The URL of the server's database through it.
    pub fn url(&self, server: &Postgres) -> String {
        server.url_through(self.port)
    }

    /// SIGKILL: all its connections break.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again, and waits until it listens; does nothing if it runs.
    ///
    /// # Panics
    /// It does not start.
    pub async fn restart(&mut self) {
        if self.process.is_some() {
            return;
        }
        let mut command = Command::new(PROGRAM);
        command.arg("-q").arg(self.directory.path().join("pgbouncer.ini"));
        let process = as_server(&mut command)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{PROGRAM}: {error} (scripts/install.sh pgbouncer)"));
        self.process = Some(process);
        let asked = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(asked.elapsed() < BOUND, "PgBouncer does not listen");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.kill();
    }
}
