//! Verifiers of other people, which know the public keys alone.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Debian's: another Python on the PATH would not have the packages of scripts/install.sh.
const PYTHON: &str = "/usr/bin/python3";
const NODE: &str = "node";
/// Where Debian has packages for Node.js, whichever Node.js runs.
const NODE_PATH: &str = "/usr/share/nodejs";

/// A program that says of one token after the other whose it is.
pub(crate) struct Verifier {
    name: &'static str,
    process: Child,
    tokens: ChildStdin,
    verdicts: BufReader<ChildStdout>,
}

impl Verifier {
    /// `jwt.PyJWKClient` of PyJWT, with the keys of this replica.
    pub(crate) fn pyjwt(at: SocketAddr) -> Self {
        Self::start("PyJWT", Command::new(PYTHON), "verifier.py", at)
    }

    /// `createRemoteJWKSet` of npm's `jose`, with the keys of this replica.
    pub(crate) fn jose(at: SocketAddr) -> Self {
        let mut node = Command::new(NODE);
        node.env("NODE_PATH", NODE_PATH);
        Self::start("jose", node, "verifier.js", at)
    }

    fn start(name: &'static str, mut command: Command, script: &str, at: SocketAddr) -> Self {
        let mut process = command
            .arg(path_of(script))
            .arg(format!("http://{at}/.well-known/jwks.json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}: scripts/install.sh"));
        let tokens = process.stdin.take().unwrap();
        let verdicts = BufReader::new(process.stdout.take().unwrap());
        Self { name, process, tokens, verdicts }
    }

    /// The user's id.
    ///
    /// # Panics
    /// The token is refused.
    pub(crate) fn expect_good(&mut self, token: &str) {
        writeln!(self.tokens, "{token}").unwrap();
        let mut verdict = String::new();
        self.verdicts.read_line(&mut verdict).unwrap();
        let is_id = verdict.trim().parse::<i64>().is_ok();
        assert!(is_id, "{} says {verdict:?} of {token} (scripts/install.sh)", self.name);
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn path_of(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/replicas").join(script)
}
