//! One SQLite commit per write, with the pragmas of user_service; and one fdatasync.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};
use shared::sqlite::{Durability, open_writer};
use tempfile::TempDir;
use testkit::sample::Sample;

/// The step between users: the order covers the whole file, as the load does.
const STEP: i64 = 7_919;

/// A database with as many users as the service has.
pub(crate) struct Commits {
    connection: Connection,
    users: i64,
    /// The number of renamed users.
    count: i64,
    _place: TempDir,
}

impl Commits {
    /// `directory` must be on the disk that the services write to.
    pub(crate) fn prepare(directory: &Path, users: i64) -> Self {
        let migrations = Migrations::new(vec![M::up(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE,
             password_hash TEXT NOT NULL) STRICT;",
        )]);
        let place = tempfile::tempdir_in(directory).unwrap();
        let path = place.path().join("floor.db");
        let connection = open_writer(&path, Durability::Full, &migrations).unwrap();
        let sql = "INSERT INTO users
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             SELECT i, 'user' || i, hex(randomblob(48)) FROM n";
        connection.execute(sql, [users]).unwrap();
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        Self { connection, users, count: 0, _place: place }
    }

    /// Renamed users per second, with one commit each.
    pub(crate) fn per_s(&mut self, time: Duration) -> f64 {
        let sql = "UPDATE users SET username = ?2 WHERE id = ?1";
        let mut statement = self.connection.prepare(sql).unwrap();
        let (started, before) = (Instant::now(), self.count);
        while started.elapsed() < time {
            self.count += 1;
            let (id, name) = (self.count * STEP % self.users + 1, format!("renamed{}", self.count));
            assert_eq!(statement.execute(rusqlite::params![id, name]).unwrap(), 1);
        }
        (self.count - before) as f64 / started.elapsed().as_secs_f64()
    }
}

/// The duration of one fdatasync after 4 KiB were overwritten, in milliseconds.
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
