//! Backups of the databases, and restoring them.
//!
//! A backup is a directory with a copy of each database and `manifest.json`, which is written last:
//! without it, a backup is not finished. It contains no key: private signing keys never leave their
//! data directory, and the sealing key, which both services share, must be kept apart.

mod error;
mod files;
mod manifest;
mod restore;
mod take;

use std::path::Path;

use crate::clock::Clock;

pub use crate::sqlite::DatabaseFile;
pub use error::BackupError;
pub use files::Stop;
pub use manifest::{FileEntry, Manifest};
pub use restore::restore;
pub use take::take;

/// A file that a restore leaves in the data directory of a service with a log: one line, the time of
/// the restore (RFC 3339). It tells the next start that the log went back.
pub const RESTORED_MARK: &str = "restored";

/// Ends the name of a file that is being written.
const PARTIAL: &str = ".partial";

/// What a service keeps in its data directory.
#[derive(Clone, Copy)]
pub struct ServiceData {
    /// The name of the service, which is also that of its lock.
    pub service: &'static str,
    /// Its databases, in the order in which they are copied.
    pub databases: &'static [DatabaseFile],
    /// How the names of its private keys begin, if it has any. They are in no backup.
    pub private_keys: Option<&'static str>,
}

/// What is to be backed up or restored.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The name of the binary. A backup is restored by the one that made it.
    pub binary: &'a str,
    /// The services that it runs.
    pub services: &'a [ServiceData],
    /// Their data directory.
    pub data_dir: &'a Path,
    /// Where in it their databases are.
    pub home: &'a Path,
    /// The backup.
    pub directory: &'a Path,
    /// Tells the time.
    pub clock: &'a Clock,
    /// Interrupts the work.
    pub stop: &'a Stop,
}

/// The databases of these services, in the order in which they are copied.
fn databases(services: &[ServiceData]) -> impl DoubleEndedIterator<Item = &DatabaseFile> {
    services.iter().flat_map(|data| data.databases)
}
