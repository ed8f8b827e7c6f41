//! Load by `wrk`: each client sends its next request when the last one is answered.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

const PRELUDE: &str = include_str!("../wrk/prelude.lua");

/// The requests that the clients send.
#[derive(Clone, Copy)]
pub(crate) enum Script<'a> {
    Read,
    Verify { token: &'a str },
    Login,
    Create,
    Rename,
}

impl Script<'_> {
    fn text(self) -> String {
        let own = match self {
            Self::Read => include_str!("../wrk/read.lua"),
            Self::Verify { .. } => include_str!("../wrk/verify.lua"),
            Self::Login => include_str!("../wrk/login.lua"),
            Self::Create => include_str!("../wrk/create.lua"),
            Self::Rename => include_str!("../wrk/rename.lua"),
        };
        format!("{PRELUDE}\n{own}")
    }

    fn own_argument(self) -> String {
        if let Self::Verify { token } = self { token.to_owned() } else { String::new() }
    }
}

/// The number of clients, and the duration.
#[derive(Clone, Copy)]
pub(crate) struct Load(pub(crate) u32, pub(crate) Duration);

/// The result of a run.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Answers {
    all: f64,
    /// Answers with neither 2xx nor 3xx.
    refused: f64,
    /// Failed connections and missing answers.
    broken: f64,
    /// In microseconds.
    duration: f64,
    /// In microseconds, of all answers.
    median: f64,
}

impl Answers {
    /// Answers with 2xx or 3xx.
    fn good(&self) -> f64 {
        self.all - self.refused
    }

    /// Answers with 2xx or 3xx per second.
    pub(crate) fn good_per_s(&self) -> f64 {
        self.good() / self.seconds()
    }

    /// All answers per second.
    pub(crate) fn per_s(&self) -> f64 {
        self.all / self.seconds()
    }

    /// The latency of all answers, in milliseconds.
    pub(crate) fn median_ms(&self) -> f64 {
        self.median / 1e3
    }

    fn seconds(&self) -> f64 {
        self.duration / 1e6
    }
}

/// Runs `wrk`.
pub(crate) struct Wrk {
    directory: TempDir,
    /// No two runs create the same names.
    runs: AtomicU64,
}

impl Wrk {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), runs: AtomicU64::new(1) }
    }

    /// This load with this script, on one of `users`.
    pub(crate) fn run(
        &self,
        at: SocketAddr,
        script: Script<'_>,
        load: Load,
        users: i64,
    ) -> Answers {
        finish(self.start(at, script, load, users))
    }

    /// Starts what [`Self::run`] does; [`finish`] ends it.
    pub(crate) fn start(
        &self,
        at: SocketAddr,
        script: Script<'_>,
        Load(clients, time): Load,
        users: i64,
    ) -> Child {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let seed = u64::from(std::process::id()) * 1000 + run;
        Command::new("wrk")
            .args(["-t2", "-c", &clients.to_string(), "--timeout", "30s"])
            .args(["-d", &format!("{}s", time.as_secs().max(1))])
            .arg("-s")
            .arg(self.script_file(run, script))
            .arg(format!("http://{at}"))
            .arg("--")
            .args([users.to_string(), seed.to_string(), script.own_argument()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wrk can be started: apt-get install wrk")
    }

    fn script_file(&self, run: u64, script: Script<'_>) -> PathBuf {
        let path = self.directory.path().join(format!("{run}.lua"));
        fs::write(&path, script.text()).unwrap();
        path
    }
}

/// Waits for the end of a run.
pub(crate) fn finish(child: Child) -> Answers {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find(|line| line.starts_with('{')).expect("prelude.lua prints a line");
    let answers: Answers = serde_json::from_str(line).unwrap();
    assert!(answers.good() > 0.0 && answers.broken == 0.0, "{text}");
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_does_not_count_as_good() {
        let line = r#"{"all":100,"refused":25,"broken":0,"duration":2000000,"median":1}"#;
        let answers: Answers = serde_json::from_str(line).unwrap();
        assert!((answers.good_per_s() - 37.5).abs() < 1e-9);
        assert!((answers.per_s() - 50.0).abs() < 1e-9);
    }
}
