//! Certificates of an authority of the test's own, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// An authority.
pub struct Authority {
    directory: TempDir,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// `openssl` is not installed, or fails.
    pub fn new() -> Self {
        let authority = Self { directory: tempfile::tempdir().expect("a directory") };
        let (key, certificate) = (authority.path("ca.key"), authority.certificate());
        // A name of its own, as every authority has.
        let name = authority.directory.path().file_name().unwrap_or_default().to_string_lossy();
        let subject = format!("/CN=tests {name}");
        run(openssl(&["req", "-x509", "-nodes", "-days", "2", "-subj", &subject])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-addext", "keyUsage=critical,keyCertSign"])
            .arg("-keyout")
            .arg(key)
            .arg("-out")
            .arg(certificate));
        authority
    }

    /// The file that those who trust it read.
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A certificate for a server of this name, and its key.
    ///
    /// # Panics
    /// `openssl` fails.
    pub fn issue(&self, host: &str) -> (PathBuf, PathBuf) {
        let [key, request, certificate, extension] =
            ["key", "csr", "pem", "ext"].map(|suffix| self.path(&format!("{host}.{suffix}")));
        run(openssl(&["req", "-new", "-nodes", "-subj", "/CN=a server"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&request));
        std::fs::write(&extension, format!("subjectAltName=DNS:{host}\n")).expect("a file");
        run(openssl(&["x509", "-req", "-days", "2", "-CAcreateserial", "-in"])
            .arg(request)
            .arg("-CA")
            .arg(self.certificate())
            .arg("-CAkey")
            .arg(self.path("ca.key"))
            .arg("-extfile")
            .arg(extension)
            .arg("-out")
            .arg(&certificate));
        (certificate, key)
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
}
