//! Load by `wrk`, from clients that send their next request when the last is answered.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// What the clients ask for.
#[derive(Clone, Copy)]
pub(crate) enum Script {
    Read,
    Login,
    Create,
    Rename,
}

impl Script {
    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Read => ("read.lua", include_str!("../wrk/read.lua")),
            Self::Login => ("login.lua", include_str!("../wrk/login.lua")),
            Self::Create => ("create.lua", include_str!("../wrk/create.lua")),
            Self::Rename => ("rename.lua", include_str!("../wrk/rename.lua")),
        }
    }
}

/// Runs `wrk`.
pub(crate) struct Wrk {
    directory: TempDir,
    /// No two runs make the same names.
    runs: AtomicU64,
}

impl Wrk {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), runs: AtomicU64::new(1) }
    }

    /// So many clients for so long with this script, on one of `users`.
    pub(crate) fn script(
        &self,
        at: SocketAddr,
        script: Script,
        (clients, time): (u32, Duration),
        users: i64,
    ) -> f64 {
        finish(self.start_script(at, script, (clients, time), users))
    }

    /// Begins what [`Self::script`] does; to be ended by [`finish`].
    pub(crate) fn start_script(
        &self,
        at: SocketAddr,
        script: Script,
        (clients, time): (u32, Duration),
        users: i64,
    ) -> Child {
        let seed = u64::from(std::process::id()) * 1000 + self.runs.fetch_add(1, Ordering::Relaxed);
        Self::command(clients, time)
            .arg("-s")
            .arg(self.script_file(script))
            .arg(format!("http://{at}"))
            .arg("--")
            .args([users.to_string(), seed.to_string()])
            .spawn()
            .expect("wrk can be started: apt-get install wrk")
    }

    /// So many clients for so long with GET of one path, and this header.
    pub(crate) fn get(
        at: SocketAddr,
        path: &str,
        header: &str,
        (clients, time): (u32, Duration),
    ) -> f64 {
        let mut command = Self::command(clients, time);
        let child = command.args(["-H", header]).arg(format!("http://{at}{path}")).spawn();
        finish(child.expect("wrk can be started: apt-get install wrk"))
    }

    fn command(clients: u32, time: Duration) -> Command {
        let mut command = Command::new("wrk");
        let time = format!("{}s", time.as_secs().max(1));
        command.args(["-t2", "-c", &clients.to_string(), "-d", &time, "--timeout", "30s"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn script_file(&self, script: Script) -> PathBuf {
        let (name, text) = script.file();
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

/// Waits for the end of a run: the answers with 2xx or 3xx, in a second.
pub(crate) fn finish(child: Child) -> f64 {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    parse(&text)
}

fn parse(text: &str) -> f64 {
    let number = |label: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(label))?;
        line.split_whitespace().last()?.parse::<f64>().ok()
    };
    let per_s = number("Requests/sec:").expect("wrk tells the requests per second");
    let refused = number("Non-2xx or 3xx responses:").unwrap_or_default();
    // "  1234 requests in 3.00s, 1.2MB read"
    let line = text.lines().find(|line| line.contains(" requests in ")).unwrap();
    let all: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
    per_s * (1.0 - refused / all.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_does_not_count_as_good() {
        let text = "  100 requests in 2.00s, 1.2MB read\n  Non-2xx or 3xx responses: 25\n\
                    Requests/sec:  50.00\n";
        assert!((parse(text) - 37.5).abs() < 1e-9);
    }
}
