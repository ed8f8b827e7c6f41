//! A disk that can be full: a tmpfs of its own.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Enough for everything that a long run writes; so few names that they can all be taken.
const SIZE: &str = "size=400m,nr_inodes=2k";

/// Mounted as long as it lives.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Makes the directory and mounts it.
    ///
    /// # Panics
    /// Mounting is not allowed: these tests need root (in a container, the capability SYS_ADMIN).
    pub(crate) fn mount(path: &Path) -> Self {
        fs::create_dir(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "lockstep-test"])
            .arg(path)
            .status()
            .unwrap();
        assert!(mounted.success(), "a full disk is tried on a tmpfs: mounting one needs root");
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Has room for what hours of writing leave.
    pub(crate) fn enlarge(&self) {
        self.remount("remount,size=16g");
    }

    /// The bytes of all files.
    pub(crate) fn used(&self) -> u64 {
        bytes_below(&self.0)
    }

    /// Leaves not a byte.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let full = io::copy(&mut io::repeat(0).take(u64::MAX), &mut ballast).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    }

    /// Leaves not a name for another file.
    pub(crate) fn fill_with_names(&self) {
        fs::create_dir(self.ballast()).unwrap();
        let full = (0..).find_map(|n| File::create(self.ballast().join(format!("{n}"))).err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::StorageFull);
    }

    /// Gives the space back.
    pub(crate) fn make_room(&self) {
        let ballast = self.ballast();
        if ballast.is_dir() { fs::remove_dir_all(ballast) } else { fs::remove_file(ballast) }
            .unwrap();
    }

    /// Nothing on it can be written, or everything again. Nobody may have a file open for writing.
    pub(crate) fn set_read_only(&self, is_read_only: bool) {
        self.remount(if is_read_only { "remount,ro" } else { "remount,rw" });
    }

    fn remount(&self, how: &str) {
        let done = Command::new("mount").args(["-o", how]).arg(&self.0).status().unwrap();
        assert!(done.success());
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    // One that is gone meanwhile has no bytes.
    let bytes = |path: PathBuf| match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => bytes_below(&path),
        metadata => metadata.map_or(0, |metadata| metadata.len()),
    };
    paths.map(bytes).sum()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that was killed may not be quite gone.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
