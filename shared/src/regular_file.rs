//! Opening files that the settings name. A FIFO there would keep the start waiting without a word,
//! and a device could do anything.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens it with these options, if it is a regular file (or a link to one) or does not exist yet.
/// Never waits.
pub(crate) fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Not even opened: that alone can have an effect on a device.
    match std::fs::metadata(path) {
        Ok(metadata) => refuse_others(metadata.file_type())?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // It may have been replaced since: a FIFO is opened at once with this flag.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.custom_flags(flags).open(path)?;
    refuse_others(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads all of a regular file, if that is no more than `most` bytes.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(OpenOptions::new().read(true), path)?;
    let mut content = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        let text = format!("it has more than {} KiB, and is surely something else", most / 1024);
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    Ok(content)
}

/// The directory that a file is in.
pub fn directory_of(file: &Path) -> &Path {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn refuse_others(kind: FileType) -> io::Result<()> {
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what} and no regular file")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        let device = Path::new("/dev/zero");
        for (path, what) in [
            (&*fifo, "a FIFO"),
            (&*link, "a FIFO"),
            (directory.path(), "a directory"),
            (device, "a device"),
        ] {
            let read = read_regular(path, 9).unwrap_err().to_string();
            let written = open_regular(OpenOptions::new().append(true).create(true), path);
            for error in [read, written.unwrap_err().to_string()] {
                assert!(error.contains(what), "{}: {error}", path.display());
            }
        }
    }

    #[test]
    fn a_file_without_a_directory_in_its_path_is_in_the_current_one() {
        for (file, directory) in [("a.db", "."), ("data/a.db", "data"), ("/a.db", "/")] {
            assert_eq!(directory_of(Path::new(file)), Path::new(directory));
        }
    }

    #[test]
    fn no_more_is_read_than_a_secret_can_have() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, [7; 2048]).unwrap();
        assert_eq!(read_regular(&path, 2048).unwrap(), [7; 2048]);
        let error = read_regular(&path, 2047).unwrap_err().to_string();
        assert!(error.contains("more than 1 KiB"), "{error}");
        let none = read_regular(&directory.path().join("none"), 9).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::NotFound);
    }
}
