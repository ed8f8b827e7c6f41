//! The tools of others that check what is published, and the proxies of examples. `scripts/contract-tools.sh` installs them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A file of `standalone/tests/contracts`.
pub(crate) fn contracts(path: &str) -> PathBuf {
    repository("standalone/tests/contracts").join(path)
}

/// A command of the Python environment.
pub(crate) fn python(name: &str) -> Command {
    let path = contracts("venv/bin").join(name);
    assert!(path.exists(), "{} is missing: scripts/contract-tools.sh", path.display());
    Command::new(path)
}

/// A program of others; it ends with the test.
pub(crate) struct Program(pub(crate) Child);

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What it prints. It must succeed.
pub(crate) fn printed_by(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{out}\n{errors}");
    out
}
