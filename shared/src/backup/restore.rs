//! Restoring a backup into a data directory that has none of its files.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::files::{Stop, Writing, copy_hashed, open_plain};
use super::{
    BackupError, DatabaseFile, FileEntry, Job, Manifest, PARTIAL, RESTORED_MARK, ServiceData,
    databases,
};
use crate::clock::rfc_3339;
use crate::secrets::{DataDirClaim, DataDirError, claim_data_dir};

/// How the names of files that belong to a database go on after its own name.
const ENDINGS: [&str; 5] = ["", "-wal", "-shm", "-journal", PARTIAL];

/// Restores the databases from the backup in `directory` into the data directory, which is created if it is not there. Everything is checked before anything is written.
///
/// # Errors
/// See [`BackupError`]. What was written is deleted again.
pub fn restore(job: Job<'_>) -> Result<Manifest, BackupError> {
    let Job { binary, services, data_dir, home, directory, clock, stop } = job;
    let manifest = Manifest::read(directory, binary, services)?;
    // Whoever restores over a running service, or over its data, learns it at once.
    let mut claims = if data_dir.exists() { claim(services, data_dir)? } else { Vec::new() };
    refuse_to_overwrite(services, home)?;
    check(&manifest, services, directory, stop)?;
    if claims.is_empty() {
        claims = claim(services, data_dir)?;
        refuse_to_overwrite(services, home)?;
    }
    let mut writing = Writing::into(home);
    for file in &manifest.files {
        copy(file, directory, &mut writing, stop)?;
    }
    if databases(services).any(DatabaseFile::has_log) {
        let time = rfc_3339(clock.unix_ms()) + "\n";
        writing.write(RESTORED_MARK, time.as_bytes())?;
        // Before the databases: no start may find a log that went back without the mark.
        writing.finish(RESTORED_MARK)?;
        writing.sync()?;
    }
    stop.check()?;
    // The last one copied is the truth that the others are made from.
    for file in manifest.files.iter().rev() {
        writing.finish(&file.name)?;
    }
    writing.sync()?;
    writing.keep();
    drop(claims);
    Ok(manifest)
}

/// Keeps the services from starting meanwhile.
fn claim(services: &[ServiceData], data_dir: &Path) -> Result<Vec<DataDirClaim>, BackupError> {
    let claim = |data: &ServiceData| claim_data_dir(data_dir, data.service);
    services.iter().map(claim).collect::<Result<_, _>>().map_err(|error| match error {
        DataDirError::Io { path, source } => BackupError::Output { path, source },
        other => BackupError::Running(other),
    })
}

/// Also files that belong to a database of before: SQLite would apply its WAL to the restored one.
/// A signing key that fits the restored `tokens.db` would revive tokens that were logged out since.
fn refuse_to_overwrite(services: &[ServiceData], home: &Path) -> Result<(), BackupError> {
    let entries = match fs::read_dir(home) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::output(home)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(BackupError::output(home))?.file_name();
        let name = name.to_string_lossy();
        if is_in_the_way(services, &name) {
            names.push(name.into_owned());
        }
    }
    names.sort_unstable();
    if names.is_empty() {
        Ok(())
    } else {
        Err(BackupError::Occupied { home: home.to_owned(), names })
    }
}

fn is_in_the_way(services: &[ServiceData], name: &str) -> bool {
    let has_log = databases(services).any(DatabaseFile::has_log);
    let mut keys = services.iter().filter_map(|data| data.private_keys);
    let is_of = |file: &str| name.strip_prefix(file).is_some_and(|end| ENDINGS.contains(&end));
    databases(services).any(|database| is_of(database.name))
        || keys.any(|beginning| name.starts_with(beginning))
        || has_log && is_of(RESTORED_MARK)
}

/// Compares the files with the manifest, and looks into the databases.
fn check(
    manifest: &Manifest,
    services: &[ServiceData],
    directory: &Path,
    stop: &Stop,
) -> Result<(), BackupError> {
    for (file, database) in manifest.files.iter().zip(databases(services)) {
        let path = directory.join(&file.name);
        let opened = open_plain(&path)?;
        let failed = BackupError::output(&path);
        let found = copy_hashed((&opened, &path), &file.name, &mut io::sink(), failed, stop)?;
        expect_same(file, &found, &path)?;
        database.check(&path, &stop.0).map_err(BackupError::of_copy(&path, &path))?;
    }
    Ok(())
}

/// Copies a file to its temporary name.
fn copy(
    file: &FileEntry,
    directory: &Path,
    writing: &mut Writing<'_>,
    stop: &Stop,
) -> Result<(), BackupError> {
    let (from, to) = (directory.join(&file.name), writing.partial(&file.name));
    let opened = open_plain(&from)?;
    let mut target = writing.create(&file.name)?;
    let failed = BackupError::output(&to);
    let copied = copy_hashed((&opened, &from), &file.name, &mut target, failed, stop)?;
    target.sync_all().map_err(BackupError::output(&to))?;
    expect_same(file, &copied, &from)
}

fn expect_same(listed: &FileEntry, found: &FileEntry, path: &Path) -> Result<(), BackupError> {
    if listed == found {
        return Ok(());
    }
    let problem = if listed.bytes == found.bytes {
        "its SHA-256 is not the one in the manifest".to_owned()
    } else {
        format!("it has {} bytes, not {} as the manifest says", found.bytes, listed.bytes)
    };
    Err(BackupError::damaged(path, problem))
}
