//! The mark of a database: a small file beside it that notes, a second behind at most, how far it has
//! been. A database that is behind its mark has lost something.
//!
//! Each mark is a new file that contains its own identity. A mark that was copied from elsewhere, also
//! over the present one, does not fit into its place, and shows that somebody has put it back.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::regular_file::open_regular;

/// A mark has some 250 bytes. What is longer is none.
const BYTES_MAX: u64 = 4_096;

/// Tells a file from every copy of it. The content may change. Inodes are used again, so the time of
/// birth belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Its number in the file system.
    pub inode: i64,
    /// When it was created, in nanoseconds since 1970; none where the file system does not know it.
    pub born_ns: Option<i64>,
}

impl FileIdentity {
    /// That of the file with this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let born_ns = born.and_then(|since| i64::try_from(since.as_nanos()).ok());
        Self { inode: metadata.ino().cast_signed(), born_ns }
    }
}

impl fmt::Display for FileIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.inode, self.born_ns.unwrap_or(0))
    }
}

/// The mark beside a database.
#[derive(Clone, Debug)]
pub struct Mark {
    path: PathBuf,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    file: FileIdentity,
    #[serde(flatten)]
    noted: T,
}

/// What is found in the place of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// The mark that was kept here.
    Kept(T),
    /// A copy of a mark: somebody has put it there.
    Copy(T),
    /// Nothing, or nothing that can be read.
    Nothing,
}

impl Mark {
    /// Where the mark of the database at this path is.
    pub fn path_beside(database: &Path) -> PathBuf {
        database.with_extension("mark")
    }

    /// That of the database at this path.
    pub fn beside(database: &Path) -> Self {
        Self { path: Self::path_beside(database) }
    }

    /// Reads it.
    ///
    /// # Errors
    /// A file is there and cannot be opened or read.
    pub fn find<T: DeserializeOwned>(&self) -> io::Result<Found<T>> {
        let file = match open_regular(OpenOptions::new().read(true), &self.path) {
            Ok(file) => file,
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::InvalidInput => return Ok(Found::Nothing),
                _ => return Err(error),
            },
        };
        let identity = FileIdentity::of(&file.metadata()?);
        let mut content = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut content)?;
        Ok(match serde_json::from_slice::<Stored<T>>(&content) {
            Ok(Stored { file, noted }) if file == identity => Found::Kept(noted),
            Ok(Stored { noted, .. }) => Found::Copy(noted),
            Err(_) => Found::Nothing,
        })
    }

    /// Keeps this from now on. It is on the disk before the former mark is gone.
    ///
    /// # Errors
    /// It cannot be written. The former mark stays.
    pub fn keep<T: Serialize>(&self, noted: &T) -> io::Result<()> {
        let new = self.path.with_extension("mark.new");
        let mut file = create_private(&new)?;
        let stored = Stored { file: FileIdentity::of(&file.metadata()?), noted };
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.sync_all()?;
        std::fs::rename(new, &self.path)
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Noted {
        seq: i64,
    }

    fn noted(seq: i64) -> Noted {
        Noted { seq }
    }

    #[test]
    fn a_copy_of_a_mark_is_none_not_even_in_the_file_of_the_present_one() {
        let directory = tempfile::tempdir().unwrap();
        let [database, path, copy] =
            ["users.db", "users.mark", "copy"].map(|name| directory.path().join(name));
        let mark = Mark::beside(&database);
        let found = || mark.find::<Noted>().unwrap();
        assert_eq!(found(), Found::Nothing);
        mark.keep(&noted(3)).unwrap();
        assert_eq!(found(), Found::Kept(noted(3)));
        fs::copy(&path, &copy).unwrap();
        for seq in [8, 9] {
            mark.keep(&noted(seq)).unwrap();
            assert_eq!(found(), Found::Kept(noted(seq)));
        }
        fs::copy(&copy, &path).unwrap();
        assert_eq!(found(), Found::Copy(noted(3)), "into the file of the later one");
        fs::rename(&copy, &path).unwrap();
        assert_eq!(found(), Found::Copy(noted(3)), "another file");
        fs::write(&path, "").unwrap();
        assert_eq!(found(), Found::Nothing);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(found(), Found::Nothing, "a directory");
    }

    #[test]
    fn a_copy_is_another_file() {
        let directory = tempfile::tempdir().unwrap();
        let [file, copy] = ["file", "copy"].map(|name| directory.path().join(name));
        let identity = |path: &Path| FileIdentity::of(&fs::metadata(path).unwrap());
        fs::write(&file, "x").unwrap();
        fs::copy(&file, &copy).unwrap();
        let before = identity(&file);
        assert_ne!(before, identity(&copy));
        fs::write(&file, "y").unwrap();
        assert_eq!(before, identity(&file));
    }
}
