//! Making a backup while the service runs.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::files::{Stop, Writing, copy_hashed, open_plain};
use super::{BackupError, DatabaseFile, FileEntry, Job, Manifest, databases, manifest};
use crate::clock::rfc_3339;
use crate::regular_file::{directory_of, open_regular};

/// Copies the databases from the data directory into `directory`, one after the other, and checks the
/// copies. `directory` is created if it is not there; its parent must be.
///
/// The services may run meanwhile. Everything that they had acknowledged before is in the copies.
///
/// # Errors
/// See [`BackupError`]. What was written is deleted again.
pub fn take(job: Job<'_>) -> Result<Manifest, BackupError> {
    let Job { binary, services, data_dir, home, directory, clock, stop } = job;
    let time = rfc_3339(clock.unix_ms());
    let data_dir = fs::canonicalize(data_dir).map_err(BackupError::input(data_dir))?;
    let directory = absolute(directory)?;
    if directory.starts_with(&data_dir) {
        return Err(BackupError::InsideDataDir(directory));
    }
    let mut writing = Writing::into(&directory);
    if make_directory(&directory)? {
        writing.with_directory();
    }
    let (mut files, mut log_end_seq) = (Vec::new(), None);
    for database in databases(services) {
        let (file, log_end) = copy(database, home, &mut writing, stop)?;
        files.push(file);
        log_end_seq = log_end_seq.or(log_end);
    }
    for file in &files {
        writing.finish(&file.name)?;
    }
    let taken = Manifest::new(binary, time, log_end_seq, files);
    let json = taken.to_json().map_err(|error| {
        BackupError::output(&directory.join(manifest::NAME))(io::Error::other(error))
    })?;
    writing.write(manifest::NAME, json.as_bytes())?;
    writing.sync()?;
    stop.check()?;
    writing.finish(manifest::NAME)?;
    writing.sync()?;
    writing.keep();
    Ok(taken)
}

/// Copies a database to its temporary name.
fn copy(
    database: &DatabaseFile,
    home: &Path,
    writing: &mut Writing<'_>,
    stop: &Stop,
) -> Result<(FileEntry, Option<i64>), BackupError> {
    let (from, to) = (home.join(database.name), writing.partial(database.name));
    // SQLite would wait for a FIFO.
    let opened = open_regular(OpenOptions::new().read(true), &from);
    drop(opened.map_err(BackupError::input(&from))?);
    stop.check()?;
    drop(writing.create(database.name)?);
    database.copy(&from, &to, &stop.0).map_err(BackupError::of_copy(&from, &to))?;
    // What is found in the copy was in the database.
    let log_end = database.check(&to, &stop.0).map_err(BackupError::of_copy(&from, &to))?;
    let copied = open_plain(&to)?;
    copied.sync_all().map_err(BackupError::output(&to))?;
    let failed = BackupError::output(&to);
    let file = copy_hashed((&copied, &to), database.name, &mut io::sink(), failed, stop)?;
    Ok((file, log_end))
}

/// The path without links; the last part need not exist.
fn absolute(directory: &Path) -> Result<PathBuf, BackupError> {
    match fs::canonicalize(directory) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = fs::canonicalize(directory_of(directory));
            let parent = parent.map_err(BackupError::output(directory))?;
            let name = directory.file_name().unwrap_or(OsStr::new("."));
            Ok(parent.join(name))
        }
        Err(error) => Err(BackupError::output(directory)(error)),
    }
}

/// Returns whether it was created; else it is there, and empty.
fn make_directory(directory: &Path) -> Result<bool, BackupError> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(BackupError::output(directory)(error)),
    }
    let is_empty =
        fs::read_dir(directory).map_err(BackupError::output(directory))?.next().is_none();
    if is_empty { Ok(false) } else { Err(BackupError::NotEmpty(directory.to_owned())) }
}
