//! Files and directories that are written so that nothing unfinished looks finished.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::manifest::FileEntry;
use super::{BackupError, PARTIAL};
use crate::regular_file::{directory_of, open_regular};
use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;

const CHUNK: usize = 256 * 1024;

/// Asks a command to stop. Clones ask the same one.
#[derive(Clone, Debug, Default)]
pub struct Stop(pub(crate) Arc<AtomicBool>);

impl Stop {
    /// Asks it.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn check(&self) -> Result<(), BackupError> {
        if self.is_asked() { Err(BackupError::Interrupted) } else { Ok(()) }
    }
}

/// Opens a regular file for reading. Never waits, and follows no link at the end of the path.
pub(super) fn open_plain(path: &Path) -> Result<File, BackupError> {
    let kind = fs::symlink_metadata(path).map_err(BackupError::input(path))?.file_type();
    if kind.is_symlink() {
        return Err(BackupError::damaged(path, "it is a symbolic link and no regular file"));
    }
    open_regular(OpenOptions::new().read(true), path).map_err(BackupError::input(path))
}

/// Copies `from`, which is at `path`, to `to`; returns its size and SHA-256 under this name.
///
/// # Errors
/// A read failed, it was asked to stop, or a write failed: then `failed` makes the error.
pub(super) fn copy_hashed(
    (mut from, path): (&File, &Path),
    name: &str,
    to: &mut impl Write,
    failed: impl FnOnce(io::Error) -> BackupError,
    stop: &Stop,
) -> Result<FileEntry, BackupError> {
    let (mut chunk, mut hash, mut bytes) = (vec![0; CHUNK], Context::new(&SHA256), 0);
    loop {
        stop.check()?;
        let length = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(BackupError::input(path)(error)),
        };
        hash.update(&chunk[..length]);
        bytes += length as u64;
        if let Err(error) = to.write_all(&chunk[..length]) {
            return Err(failed(error));
        }
    }
    Ok(FileEntry { name: name.to_owned(), bytes, sha256: HEXLOWER.encode(hash.finish().as_ref()) })
}

/// Files that are written into a directory. Each has a temporary name until it is complete. Dropped
/// before [`Writing::keep`], it deletes all of them.
pub(super) struct Writing<'a> {
    directory: &'a Path,
    /// What was created so far, to be deleted.
    created: Vec<PathBuf>,
}

impl<'a> Writing<'a> {
    pub(super) fn into(directory: &'a Path) -> Self {
        Self { directory, created: Vec::new() }
    }

    /// The directory itself was created, too: it is the last to be deleted.
    pub(super) fn with_directory(&mut self) {
        self.created.push(self.directory.to_owned());
    }

    /// Where the file of this name is while it is written.
    pub(super) fn partial(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}{PARTIAL}"))
    }

    /// Creates a private file under its temporary name.
    pub(super) fn create(&mut self, name: &str) -> Result<File, BackupError> {
        let path = self.partial(name);
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = created.map_err(BackupError::output(&path))?;
        self.created.push(path);
        Ok(file)
    }

    /// Writes a small file under its temporary name.
    pub(super) fn write(&mut self, name: &str, text: &[u8]) -> Result<(), BackupError> {
        let mut file = self.create(name)?;
        let written = file.write_all(text).and_then(|()| file.sync_all());
        written.map_err(BackupError::output(&self.partial(name)))
    }

    /// Gives a complete file its name.
    pub(super) fn finish(&mut self, name: &str) -> Result<(), BackupError> {
        let (from, to) = (self.partial(name), self.directory.join(name));
        fs::rename(&from, &to).map_err(BackupError::output(&to))?;
        self.created.push(to);
        Ok(())
    }

    /// Makes the names of the files survive a loss of power.
    pub(super) fn sync(&self) -> Result<(), BackupError> {
        sync_directory(self.directory)?;
        sync_directory(directory_of(self.directory))
    }

    /// Everything is complete, and is kept.
    pub(super) fn keep(mut self) {
        self.created.clear();
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        for path in self.created.drain(..).rev() {
            // What cannot be deleted has a temporary name, or no manifest beside it.
            let _ =
                if path == self.directory { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
}

fn sync_directory(directory: &Path) -> Result<(), BackupError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(BackupError::output(directory))
}
