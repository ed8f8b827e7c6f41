//! A binary of ours as a child process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long a service may take to start and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running binary. Dropping it kills it.
pub(crate) struct ServiceProcess {
    child: Child,
    /// Log lines as they come.
    lines: Receiver<String>,
}

impl ServiceProcess {
    /// Starts the binary with nothing but these settings in its environment.
    pub(crate) fn start(binary: &str, settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(path_of(binary))
            .env_clear()
            .envs(settings.iter().copied())
            .env("LOG_FORMAT", "json")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody may listen any more; the pipe must be emptied all the same.
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// The address of the service of this name, which it logs when it listens.
    pub(crate) fn address_of(&self, service: &str) -> SocketAddr {
        let message = format!("{service} listens");
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("waited {PATIENCE:?} in vain until {service} listens");
            });
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["message"] == message.as_str() {
                return entry["address"].as_str().unwrap().parse().unwrap();
            }
        }
    }

    /// SIGTERM; the service must finish in order.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "after SIGTERM: {status}");
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binaries of the workspace lie side by side.
fn path_of(binary: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_standalone")).with_file_name(binary);
    assert!(path.exists(), "{} is missing: cargo build --workspace", path.display());
    path
}
