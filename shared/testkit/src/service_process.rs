//! One of our binaries as a child process.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::iter;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long a service may take to start and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What a process uses of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Resident memory (`VmRSS`).
    pub memory_kib: u64,
    /// Its threads.
    pub threads: u64,
    /// Files, sockets and pipes that it has open.
    pub open_files: u64,
}

/// A running binary. Dropping it kills it.
pub struct ServiceProcess {
    child: Child,
    /// The lines of its log, and of anything that it prints besides, as they arrive.
    lines: Receiver<String>,
    /// Those that [`Self::address_of`] has read.
    read: RefCell<Vec<String>>,
}

impl ServiceProcess {
    /// Starts the binary with only these settings in its environment.
    ///
    /// # Panics
    /// The binary does not exist: `cargo build --workspace` builds those of the workspace.
    pub fn start(binary: &Path, settings: &[(&str, &str)]) -> Self {
        assert!(binary.exists(), "{} is missing: cargo build --workspace", binary.display());
        let mut command = Command::new(binary);
        command.env_clear();
        Self::spawn(command, settings)
    }

    /// Starts the command with these settings added to its environment.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn spawn(mut command: Command, settings: &[(&str, &str)]) -> Self {
        let mut child = command
            .envs(settings.iter().copied())
            .env("LOG_FORMAT", "json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let output = child.stdout.take().expect("the output is piped");
        let errors = child.stderr.take().expect("the output is piped");
        let (sender, lines) = mpsc::channel();
        let second_sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // The receiver may be gone; the pipe must be emptied all the same.
                let _ = sender.send(line);
            }
        });
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                // Whoever reads the test's output wants to see it, too.
                let _ = writeln!(io::stderr(), "{line}");
                let _ = second_sender.send(line);
            }
        });
        Self { child, lines, read: RefCell::default() }
    }

    /// The address of the service with this name, which it logs when it listens.
    ///
    /// # Panics
    /// It does not listen in time.
    pub fn address_of(&self, service: &str) -> SocketAddr {
        let message = format!("{service} listens");
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("waited {PATIENCE:?} in vain until {service} listens");
            });
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            self.read.borrow_mut().push(line);
            if entry["message"] == message.as_str() {
                let address = entry["address"].as_str().unwrap_or_default();
                return address.parse().expect("the log tells the address");
            }
        }
    }

    /// The log lines since the last call.
    pub fn take_log(&self) -> Vec<String> {
        self.read.take().into_iter().chain(self.lines.try_iter()).collect()
    }

    /// Waits until the service at this address says that it is ready.
    ///
    /// # Panics
    /// It is not in time.
    pub fn wait_until_ready(address: SocketAddr) {
        let asked = Instant::now();
        while !is_ready(address).unwrap_or(false) {
            assert!(asked.elapsed() < PATIENCE, "it does not become ready");
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Its peak memory so far (`VmHWM`), in KiB.
    ///
    /// # Panics
    /// It has ended.
    pub fn peak_memory_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// What it uses now.
    ///
    /// # Panics
    /// It has ended.
    pub fn usage(&self) -> Usage {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs");
        Usage {
            memory_kib: self.status("VmRSS:"),
            threads: self.status("Threads:"),
            open_files: files.count() as u64,
        }
    }

    /// A number of `/proc/pid/status`.
    fn status(&self, label: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(label));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).expect("it runs")
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Suspends it, as a paused machine would, until [`Self::resume`].
    ///
    /// # Panics
    /// The signal cannot be sent.
    pub fn suspend(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// The signal cannot be sent.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "SIG{signal} was not sent");
    }

    /// Sends SIGTERM; the service must stop cleanly. Returns the log lines since the last
    /// [`Self::take_log`].
    ///
    /// # Panics
    /// It fails, or does not finish in time.
    pub fn stop(mut self) -> Vec<String> {
        self.signal("-TERM");
        let asked = Instant::now();
        while !self.has_ended() {
            assert!(asked.elapsed() < PATIENCE, "after SIGTERM it does not end");
            thread::sleep(POLL_INTERVAL);
        }
        let status = self.child.wait().expect("it has ended");
        assert!(status.success(), "after SIGTERM: {status}");
        // Its last lines are on their way until both outputs are closed.
        let last = iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).collect();
        [self.read.take(), last].concat()
    }

    /// Sends SIGKILL.
    pub fn kill(self) {
        // Dropping it sends the signal.
        drop(self);
    }
}

fn is_ready(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
