//! Recognises a database that was put back: an older copy lacks what was written since.
//!
//! The database names the file that it was written to, so a copy that became another file is
//! recognised. A copy that was written over the file is recognised by the mark: a small file beside
//! the database that notes, a second behind, how often the database was changed. A mark that was
//! written over by an older one does not name the file that it is in.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use shared::regular_file::{directory_of, read_regular};
use tempfile::NamedTempFile;

/// The most bytes of a mark.
const MARK_MAX: u64 = 256;

/// Names a file: a copy has another name. Inodes are used again, so the time of birth belongs to
/// it, where the file system tells it.
pub(super) fn name_of(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    let born_ns = born.map_or(0, |born| born.as_nanos());
    Ok(format!("{} {born_ns}", metadata.ino()))
}

/// The mark beside a database.
pub(super) struct Mark {
    path: PathBuf,
    /// What it notes, as far as this process has written it.
    noted: Option<i64>,
}

impl Mark {
    /// That of this database.
    pub(super) fn beside(database: &Path) -> Self {
        Self { path: database.with_extension("mark"), noted: None }
    }

    /// How many changes it notes; none if it is not there, or was itself put back.
    pub(super) fn read(&self) -> Option<i64> {
        let content = String::from_utf8(read_regular(&self.path, MARK_MAX).ok()?).ok()?;
        let (written_to, changes) = content.trim().rsplit_once(' ')?;
        let is_itself = written_to == name_of(&self.path).ok()?;
        is_itself.then(|| changes.parse().ok()).flatten()
    }

    /// Notes the changes that are on the disk.
    pub(super) fn note(&mut self, changes: i64) -> io::Result<()> {
        if self.noted == Some(changes) {
            return Ok(());
        }
        // A new file each time, complete before it gets its name.
        let mut file = NamedTempFile::new_in(directory_of(&self.path))?;
        let written_to = name_of(file.path())?;
        writeln!(file, "{written_to} {changes}")?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        self.noted = Some(changes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_not_if_an_older_one_was_put_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let mut mark = Mark::beside(&directory.path().join("tokens.db"));
        assert_eq!(mark.read(), None);
        mark.note(7).unwrap();
        assert_eq!(mark.read(), Some(7));
        let copy = directory.path().join("copy");
        fs::copy(&mark.path, &copy).unwrap();
        for changes in [8, 9] {
            mark.note(changes).unwrap();
            assert_eq!(mark.read(), Some(changes));
        }
        fs::copy(&copy, &mark.path).unwrap();
        assert_eq!(mark.read(), None, "written over");
        fs::rename(&copy, &mark.path).unwrap();
        assert_eq!(mark.read(), None, "another file");
    }

    #[test]
    fn a_copy_is_another_file() {
        let directory = tempfile::tempdir().unwrap();
        let [file, copy] = ["file", "copy"].map(|name| directory.path().join(name));
        fs::write(&file, "x").unwrap();
        fs::copy(&file, &copy).unwrap();
        let name = name_of(&file).unwrap();
        assert_ne!(name, name_of(&copy).unwrap());
        fs::write(&file, "y").unwrap();
        assert_eq!(name, name_of(&file).unwrap());
    }
}
