//! Whether a file that is open is still the one at its path: what is written to a file that was
//! removed or replaced is lost without an error.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A path, and the file that was found there.
#[derive(Debug)]
pub struct FilePlace {
    path: PathBuf,
    /// Device and inode; none if the file could not be asked for them.
    file: Option<(u64, u64)>,
}

/// Another file is at the path, or none.
#[derive(Debug, thiserror::Error)]
#[error("{} was removed or replaced while it was open", .0.display())]
pub struct Displaced(PathBuf);

impl FilePlace {
    /// The place of the file with this metadata, which was opened at this path.
    pub fn of(path: &Path, opened: io::Result<Metadata>) -> Self {
        Self { path: path.to_owned(), file: opened.ok().map(|metadata| identity(&metadata)) }
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks whether the file is at its path. Costs one system call.
    ///
    /// # Errors
    /// It is not. Any other fault says nothing about where it is.
    pub fn check(&self) -> Result<(), Displaced> {
        let is_kept = match self.path.metadata() {
            Ok(found) => self.file.is_none_or(|file| file == identity(&found)),
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        };
        if is_kept { Ok(()) } else { Err(Displaced(self.path.clone())) }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_removed_or_replaced_is_not_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let [path, other] = ["file", "other"].map(|name| directory.path().join(name));
        std::fs::write(&path, "").unwrap();
        let place = FilePlace::of(&path, path.metadata());
        assert!(place.check().is_ok());
        std::fs::rename(&path, &other).unwrap();
        assert!(place.check().is_err());
        std::fs::write(&path, "another").unwrap();
        assert!(place.check().is_err(), "another is there");
        std::fs::rename(&other, &path).unwrap();
        assert!(place.check().is_ok());
        std::fs::remove_file(&path).unwrap();
        let told = place.check().unwrap_err().to_string();
        assert!(told.contains("file was removed or replaced"), "{told}");
    }
}
