//! `backup` and `restore`: see [`crate::backup`].

use std::io::{self, Write};
use std::path::Path;

use super::settings::Settings;
use super::signals::stop_on_signal;
use super::{Application, Failure};
use crate::audit::{Action, CommandTrail};
use crate::backup::{self, BackupError, Job, Manifest};
use crate::clock::Clock;
use crate::telemetry::LoggingError;

/// Copies the databases into `directory`.
///
/// # Errors
/// The backup was not made.
pub(super) fn backup<A: Application>(
    settings: Settings<A::Config, A::Command>,
    directory: &Path,
    is_json: bool,
) -> Result<(), Failure> {
    let done = |_: &Path| {
        format!(
            "backed up to {}. Keys are not in it: keep the sealing key in another safe place",
            directory.display()
        )
    };
    let audited = |trail: &CommandTrail, job: Job<'_>| trail.follow_backup(job, backup::take);
    run::<A>(settings, directory, is_json, audited, done)
}

/// Copies a backup into the data directory.
///
/// # Errors
/// The backup was not restored.
pub(super) fn restore<A: Application>(
    settings: Settings<A::Config, A::Command>,
    directory: &Path,
    is_json: bool,
) -> Result<(), Failure> {
    let done = |data_dir: &Path| {
        let signs = A::DATA.iter().any(|data| data.private_keys.is_some());
        format!(
            "restored into {}. Before the start, put the sealing key back if it is lost{}",
            data_dir.display(),
            if signs {
                "; tokens are signed with a new key, so everybody logs in again"
            } else {
                ""
            }
        )
    };
    let audited = |trail: &CommandTrail, job: Job<'_>| {
        trail.follow(Action::Restore, |record| {
            record.about_path(job.directory);
            backup::restore(job)
        })
    };
    run::<A>(settings, directory, is_json, audited, done)
}

/// Does the work, and prints what `done` says of the directory of the databases.
fn run<A: Application>(
    settings: Settings<A::Config, A::Command>,
    directory: &Path,
    is_json: bool,
    work: impl FnOnce(&CommandTrail, Job<'_>) -> Result<Manifest, BackupError>,
    done: impl FnOnce(&Path) -> String,
) -> Result<(), Failure> {
    let config = settings.into_config(Vec::new())?;
    if let Some(reason) = A::not_in_files(&config) {
        return Err(Failure::Settings(vec![reason.to_owned()]));
    }
    let common = A::common(&config);
    let wrong_filter = |error: LoggingError| Failure::Settings(vec![error.to_string()]);
    let trail = CommandTrail::new(common).map_err(wrong_filter)?;
    let data_dir = &common.data_dir;
    let (clock, stop) = (Clock::system(), stop_on_signal().map_err(Failure::other)?);
    let (binary, services) = (A::NAME, A::DATA);
    let home = A::home(data_dir)
        .map_err(|source| Failure::Backup(BackupError::Input { path: data_dir.clone(), source }))?;
    let home = &*home;
    let job = Job { binary, services, data_dir, home, directory, clock: &clock, stop: &stop };
    let manifest = work(&trail, job).map_err(Failure::Backup)?;
    print(&manifest, &done(home), is_json).map_err(Failure::other)
}

/// Prints the manifest, or a line for each file and what was done.
fn print(manifest: &Manifest, done: &str, is_json: bool) -> io::Result<()> {
    let text = if is_json {
        manifest.to_json()?
    } else {
        let line = |file: &backup::FileEntry| format!("{:>12} bytes  {}\n", file.bytes, file.name);
        manifest.files.iter().map(line).collect::<String>() + done + "\n"
    };
    io::stdout().write_all(text.as_bytes())
}
