//! The mark: a small file beside the database that keeps how far the log has been, a second behind
//! at most. A log that ends before its mark has lost records.
//!
//! Each mark is a new file that contains its own identity. A mark that was copied from elsewhere, also
//! over the present one, does not fit into its place, and shows that the data directory was put back.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use contract::Cursor;
use serde::{Deserialize, Serialize};

/// A mark has some 250 bytes. What is longer is none.
const BYTES_MAX: u64 = 4_096;

/// Tells a file from every copy of it. The content may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileIdentity {
    pub(super) inode: i64,
    /// When it was created, in nanoseconds since 1970; none where the file system does not know it.
    pub(super) born_ns: Option<i64>,
}

impl FileIdentity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let born_ns = born.and_then(|since| i64::try_from(since.as_nanos()).ok());
        Self { inode: metadata.ino().cast_signed(), born_ns }
    }
}

/// How far the log has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The end of the log, and the run of the service that vouched for it.
    #[serde(flatten)]
    pub(super) end: Cursor,
    /// No user had a higher id.
    pub(super) highest_id: i64,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Stored {
    file: FileIdentity,
    #[serde(flatten)]
    mark: Mark,
}

/// What is found in the place of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The mark that was kept here.
    Kept(Mark),
    /// A copy of a mark: somebody has put it there.
    Copy(Mark),
    /// Nothing, or nothing that can be read.
    Nothing,
}

/// Where the mark of the database is.
pub(super) fn path_beside(database: &Path) -> PathBuf {
    database.with_extension("mark")
}

/// Reads the mark of the database.
pub(super) fn find(database: &Path) -> io::Result<Found> {
    let path = path_beside(database);
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() || metadata.len() > BYTES_MAX {
        return Ok(Found::Nothing);
    }
    Ok(match serde_json::from_slice::<Stored>(&std::fs::read(path)?) {
        Ok(Stored { file, mark }) if file == FileIdentity::of(&metadata) => Found::Kept(mark),
        Ok(Stored { mark, .. }) => Found::Copy(mark),
        Err(_) => Found::Nothing,
    })
}

/// Keeps the mark from now on. It is on the disk before the former one is gone.
pub(super) fn keep(database: &Path, mark: Mark) -> io::Result<()> {
    let new = database.with_extension("mark.new");
    let mut file = create_private(&new)?;
    let stored = Stored { file: FileIdentity::of(&file.metadata()?), mark };
    file.write_all(&serde_json::to_vec(&stored)?)?;
    file.sync_all()?;
    std::fs::rename(new, path_beside(database))
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
    use contract::{Incarnation, Position, RecordHash};

    fn mark(seq: i64) -> Mark {
        let position = Position { seq, hash: RecordHash([1; 16]) };
        Mark { end: Cursor { incarnation: Incarnation([2; 16]), position }, highest_id: 7 }
    }

    #[test]
    fn a_copy_of_a_mark_is_none_not_even_in_the_file_of_the_present_one() {
        let directory = tempfile::tempdir().unwrap();
        let [database, copy] = ["users.db", "copy"].map(|name| directory.path().join(name));
        assert_eq!(find(&database).unwrap(), Found::Nothing);
        keep(&database, mark(3)).unwrap();
        assert_eq!(find(&database).unwrap(), Found::Kept(mark(3)));
        std::fs::copy(path_beside(&database), &copy).unwrap();
        keep(&database, mark(9)).unwrap();
        std::fs::copy(&copy, path_beside(&database)).unwrap();
        assert_eq!(
            find(&database).unwrap(),
            Found::Copy(mark(3)),
            "into the file of the later one"
        );
        std::fs::write(path_beside(&database), "").unwrap();
        assert_eq!(find(&database).unwrap(), Found::Nothing);
    }
}
