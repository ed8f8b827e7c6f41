//! Places in a data directory that replicas of a service share: `replica-1`, `replica-2` and so on.
//!
//! A replica takes the first place that is free, and keeps it until it ends. So replicas that are
//! started by number, as `docker-compose up --scale` does, find the files of their predecessors. A
//! process that uses the whole directory (the standalone binary, a restore, or an earlier version) and
//! replicas in their places keep each other out.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::data_dir::{DataDirClaim, DataDirError, claim_data_dir, failed, share_data_dir};

/// More replicas than this find no place: whoever starts so many has set something wrong.
const PLACES_MAX: u32 = 64;
/// How the names of places begin.
const PREFIX: &str = "replica-";

/// Where in a data directory the files of a service are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataLayout {
    /// In the directory itself, which no other process of this service uses.
    Whole,
    /// In the first place that no other process of this service has taken.
    Places,
}

/// The place of a replica, which nobody else can take until the claim is dropped.
#[derive(Debug)]
pub struct ReplicaPlace {
    /// From 1.
    pub number: u32,
    /// Where its files are.
    pub directory: PathBuf,
    /// Keeps it, and keeps others from using the whole data directory.
    pub claim: DataDirClaim,
}

/// Claims the first free place. Files directly in the data directory whose names satisfy `is_moved` were
/// left there by a version without places: whoever takes the first place moves them there.
///
/// # Errors
/// The data directory or a place cannot be used, or all places are taken.
pub fn claim_place(
    data_dir: &Path,
    service: &'static str,
    is_moved: impl Fn(&str) -> bool,
) -> Result<ReplicaPlace, DataDirError> {
    let shared = share_data_dir(data_dir, service)?;
    for number in 1..=PLACES_MAX {
        let directory = place(data_dir, number);
        let claim = match claim_data_dir(&directory, service) {
            Err(DataDirError::Taken { .. }) => continue,
            claimed => claimed?.within(shared),
        };
        if number == 1 {
            move_in(data_dir, &directory, is_moved)?;
        }
        return Ok(ReplicaPlace { number, directory, claim });
    }
    Err(DataDirError::AllPlacesTaken { path: data_dir.to_owned(), service })
}

/// Claims the data directory as a whole: for a process that is the only one of its service there.
///
/// # Errors
/// It cannot be used, or replicas have left their files in places.
pub fn claim_only_place(
    data_dir: &Path,
    service: &'static str,
) -> Result<ReplicaPlace, DataDirError> {
    let claim = claim_data_dir(data_dir, service)?;
    if !places(data_dir).map_err(failed(data_dir))?.is_empty() {
        return Err(DataDirError::HasPlaces { path: data_dir.to_owned(), service });
    }
    Ok(ReplicaPlace { number: 1, directory: data_dir.to_owned(), claim })
}

/// The directories of all places that were ever taken, by number.
///
/// # Errors
/// The data directory cannot be read; that it is not there is no error.
pub fn places(data_dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let entries = match fs::read_dir(data_dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut places = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let number = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
        if let Some(number) = number.filter(|number| place(data_dir, *number) == path) {
            places.push((number, path));
        }
    }
    places.sort_unstable();
    Ok(places)
}

/// Where the files of the first replica are: in the first place, or in the data directory itself if
/// nobody has taken a place yet. The first place is in use whenever any is.
///
/// # Errors
/// The data directory cannot be read.
pub fn first_place(data_dir: &Path) -> io::Result<PathBuf> {
    let first = places(data_dir)?.into_iter().next();
    Ok(first.map_or_else(|| data_dir.to_owned(), |(_, place)| place))
}

fn place(data_dir: &Path, number: u32) -> PathBuf {
    data_dir.join(format!("{PREFIX}{number}"))
}

/// Moves one file after the other. If the process ends meanwhile, the next one moves the others: nothing
/// is opened before all are there.
fn move_in(
    data_dir: &Path,
    place: &Path,
    is_moved: impl Fn(&str) -> bool,
) -> Result<(), DataDirError> {
    let mut moved = 0;
    for entry in fs::read_dir(data_dir).map_err(failed(data_dir))? {
        let name = entry.map_err(failed(data_dir))?.file_name();
        if !is_moved(&name.to_string_lossy()) {
            continue;
        }
        let (from, to) = (data_dir.join(&name), place.join(&name));
        if fs::symlink_metadata(&to).is_ok() {
            return Err(DataDirError::TwiceThere { from, to });
        }
        fs::rename(&from, &to).map_err(failed(&from))?;
        moved += 1;
    }
    if moved > 0 {
        // First where they are, then where they are no more: a loss of power may double them, never
        // lose them.
        for directory in [place, data_dir] {
            File::open(directory).and_then(|file| file.sync_all()).map_err(failed(directory))?;
        }
        tracing::info!(moved, place = %place.display(), "moved the files of an earlier version");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(data_dir: &Path) -> Result<ReplicaPlace, DataDirError> {
        claim_place(data_dir, "auth_service", |name| name.starts_with("tokens"))
    }

    fn number(place: Result<ReplicaPlace, DataDirError>) -> u32 {
        place.unwrap().number
    }

    #[test]
    fn each_replica_takes_the_first_free_place() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("data");
        assert_eq!(first_place(&data_dir).unwrap(), data_dir);
        let [first, second, third] = [(); 3].map(|()| claim(&data_dir).unwrap());
        assert_eq!([first.number, second.number, third.number], [1, 2, 3]);
        drop(second);
        assert_eq!(number(claim(&data_dir)), 2);
        drop(first);
        assert_eq!(first_place(&data_dir).unwrap(), data_dir.join("replica-1"));
        fs::create_dir(data_dir.join("replica-x")).unwrap();
        fs::create_dir(data_dir.join("replica-01")).unwrap();
        let numbers: Vec<u32> = places(&data_dir).unwrap().iter().map(|place| place.0).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[test]
    fn replicas_and_a_process_that_uses_the_whole_directory_keep_each_other_out() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path();
        let whole = claim_data_dir(data_dir, "auth_service").unwrap();
        assert!(matches!(claim(data_dir), Err(DataDirError::Taken { .. })));
        drop(whole);
        drop(claim_only_place(data_dir, "auth_service").unwrap());
        let places = [(); 2].map(|()| claim(data_dir).unwrap());
        let refused = claim_data_dir(data_dir, "auth_service");
        assert!(matches!(refused, Err(DataDirError::Taken { .. })));
        assert!(claim_data_dir(data_dir, "user_service").is_ok());
        drop(places);
        assert!(claim_data_dir(data_dir, "auth_service").is_ok());
        let refused = claim_only_place(data_dir, "auth_service");
        assert!(matches!(refused, Err(DataDirError::HasPlaces { .. })));
    }

    #[test]
    fn there_are_so_many_places() {
        let directory = tempfile::tempdir().unwrap();
        let claimed: Vec<_> = (0..PLACES_MAX).map(|_| claim(directory.path()).unwrap()).collect();
        assert!(matches!(claim(directory.path()), Err(DataDirError::AllPlacesTaken { .. })));
        drop(claimed);
    }

    /// As a process that was killed after any number of moves has left it.
    #[test]
    fn files_of_an_earlier_version_move_into_the_first_place_however_far_that_has_come() {
        let files = ["tokens.db", "tokens.db-wal", "tokens.mark"];
        for come in 0..=files.len() {
            let directory = tempfile::tempdir().unwrap();
            let data_dir = directory.path();
            let place = data_dir.join("replica-1");
            fs::create_dir(&place).unwrap();
            for (n, name) in files.iter().enumerate() {
                let at = if n < come { &*place } else { data_dir };
                fs::write(at.join(name), name).unwrap();
            }
            fs::write(data_dir.join("sealing.key"), "stays").unwrap();
            let claimed = claim(data_dir).unwrap();
            assert_eq!(claimed.directory, place);
            for name in files {
                assert_eq!(fs::read_to_string(place.join(name)).unwrap(), name);
                assert!(!data_dir.join(name).exists());
            }
            assert!(data_dir.join("sealing.key").exists());
        }
    }

    #[test]
    fn no_file_takes_the_place_of_another() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path();
        drop(claim(data_dir).unwrap());
        for at in [data_dir, &data_dir.join("replica-1")] {
            fs::write(at.join("tokens.db"), at.to_string_lossy().as_bytes()).unwrap();
        }
        let refused = claim(data_dir).unwrap_err().to_string();
        assert!(refused.contains("replica-1/tokens.db"), "{refused}");
        assert!(data_dir.join("tokens.db").exists());
    }
}
