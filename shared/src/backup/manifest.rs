//! `manifest.json`: what a backup contains.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::open_plain;
use super::{BackupError, ServiceData, databases};

/// The name of its file.
pub(super) const NAME: &str = "manifest.json";
/// The version of its form that this program writes, and the only one that it reads.
const FORMAT: u32 = 1;
/// No manifest is larger, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// What a backup contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the form of this file.
    format: u32,
    /// The version of the program that made the backup.
    version: String,
    /// The binary that made it. The same binary restores it.
    service: String,
    /// When it began, in RFC 3339: everything that was acknowledged before is in it.
    time: String,
    /// The last record in its log of changes; `None` if it has no log.
    log_end_seq: Option<i64>,
    /// The files.
    pub files: Vec<FileEntry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 over its content, in hexadecimal.
    pub sha256: String,
}

/// The beginning of each manifest, whatever its format.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Manifest {
    pub(super) fn new(
        service: &str,
        time: String,
        log_end_seq: Option<i64>,
        files: Vec<FileEntry>,
    ) -> Self {
        let (version, service) = (env!("CARGO_PKG_VERSION").to_owned(), service.to_owned());
        Self { format: FORMAT, version, service, time, log_end_seq, files }
    }

    /// Reads the manifest of a backup of `service` with exactly the files of these databases.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is that of something else.
    pub(super) fn read(
        directory: &Path,
        service: &str,
        services: &[ServiceData],
    ) -> Result<Self, BackupError> {
        let path = directory.join(NAME);
        let mut text = Vec::new();
        let read = open_plain(&path)?.take(BYTES_MAX).read_to_end(&mut text);
        read.map_err(BackupError::input(&path))?;
        let damaged = |problem: String| BackupError::damaged(&path, problem);
        let Format { format } = serde_json::from_slice(&text)
            .map_err(|error| damaged(format!("it is no manifest of a backup: {error}")))?;
        if format != FORMAT {
            return Err(damaged(format!("format {format} is not known to this version")));
        }
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if manifest.service != service {
            return Err(damaged(format!("it is a backup of {}, not {service}", manifest.service)));
        }
        let listed = manifest.files.iter().map(|file| file.name.as_str());
        if !listed.eq(databases(services).map(|database| database.name)) {
            return Err(damaged("it lists other files than this service has".to_owned()));
        }
        Ok(manifest)
    }

    /// As it is in the file.
    pub fn to_json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
