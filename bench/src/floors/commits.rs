//! One SQLite commit for each write, with the pragmas of user_service; and one fdatasync.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite_migration::{M, Migrations};
use shared::sqlite::{Durability, open_writer};

use crate::sample::Sample;

const ROWS: i64 = 1_000;

/// Changes of a name in a second, each committed by itself. `directory` is on the disk that the
/// services write to.
pub(crate) fn commits_per_s(directory: &Path, time: Duration) -> f64 {
    let migrations = Migrations::new(vec![M::up(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE) STRICT;",
    )]);
    let place = tempfile::tempdir_in(directory).unwrap();
    let path = place.path().join("floor.db");
    let connection = open_writer(&path, Durability::Full, &migrations).unwrap();
    for id in 1..=ROWS {
        connection.execute("INSERT INTO users VALUES (?1, ?1)", [id]).unwrap();
    }
    let mut statement = connection.prepare("UPDATE users SET username = ?2 WHERE id = ?1").unwrap();
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < time {
        count += 1;
        let name = format!("renamed{count}");
        statement.execute(rusqlite::params![count % ROWS + 1, name]).unwrap();
    }
    count as f64 / started.elapsed().as_secs_f64()
}

/// The time of one fdatasync after 4 KiB were written over, in milliseconds.
pub(crate) fn fdatasync(directory: &Path) -> Sample {
    let file = tempfile::tempfile_in(directory).unwrap();
    let write = |file: &File| {
        file.write_all_at(&[7; 4096], 0).unwrap();
        let started = Instant::now();
        file.sync_data().unwrap();
        started.elapsed()
    };
    write(&file);
    Sample::of_times(&(0..100).map(|_| write(&file)).collect::<Vec<_>>())
}
