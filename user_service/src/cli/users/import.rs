//! `users import`.
//!
//! Users are sent to the service in commands of at most [`PAGE`], which it commits as a group. Each user is
//! created whole or not at all, and nothing is remembered between two runs: a second run sends all users again,
//! and the service tells of each whether a user with this name is there, and whether with this very hash.

mod progress;
mod report;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use shared::admin::{AdminError, ask_service};
use shared::backup::Stop;
use shared::cli::{CommandError, exit, stop_on_signal};
use shared::hashing::PasswordHash;
use shared::identity::Username;
use shared::regular_file::read_regular;

use self::progress::Progress;
use self::report::{Counts, Report};
use super::formats::{Format, Found, HashConfig, NoHashConfig, Place, ReadError, read_users};
use crate::admin::{AdminCommand, Fate, NewUser, PAGE, SERVICE};

/// The most bytes of a file with Firebase's parameters.
const HASH_CONFIG_MAX: u64 = 64 * 1024;

/// `users import`.
#[derive(Args, Clone, Debug)]
pub struct Import {
    /// The file, or `-` for the standard input
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// The form of the file
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Create nobody: check every name and hash, and tell what would happen
    #[arg(long)]
    dry_run: bool,
    /// Where to write what was not created and why, as JSON lines; the file is replaced. Without it they go to
    /// the standard error output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    errors: Option<PathBuf>,
    /// A file with the password hash parameters of the project, as the Firebase console shows them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    firebase_hash_config: Option<PathBuf>,
    /// Print the counts as a JSON object
    #[arg(long)]
    json: bool,
}

/// Why the import stopped before the end of the file.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Service(#[from] AdminError),
    #[error("cannot write the errors")]
    Report(#[source] io::Error),
    #[error("interrupted")]
    Interrupted,
}

/// An import on its way.
struct Importer<'a> {
    data_dir: &'a Path,
    is_dry_run: bool,
    stop: Stop,
    /// The users of the next command.
    batch: Vec<(Place, NewUser)>,
    report: Report,
    progress: Progress,
}

impl Import {
    pub(super) fn run(self, data_dir: &Path) -> Result<(), CommandError> {
        let stop = stop_on_signal()?;
        let firebase = self.firebase()?;
        let mut input = self.open()?;
        let report = Report::open(self.errors.as_deref()).map_err(|error| {
            let path = self.errors.as_deref().unwrap_or(Path::new("-")).display();
            CommandError::new(exit::CANT_CREATE, format!("cannot write {path}: {error}"))
        })?;
        let mut importer = Importer {
            data_dir,
            is_dry_run: self.dry_run,
            stop,
            batch: Vec::with_capacity(PAGE.into()),
            report,
            progress: Progress::new(),
        };
        let ended = importer.read(self.format, firebase.as_ref(), &mut *input);
        importer.progress.end();
        let ended = importer.report.finish().map_err(Stopped::Report).and(ended);
        let counts = importer.report.counts;
        self.tell(counts, ended.is_ok())?;
        self.result(counts, ended)
    }

    fn open(&self) -> Result<Box<dyn BufRead>, CommandError> {
        if self.file.as_os_str() == "-" {
            return Ok(Box::new(BufReader::new(io::stdin())));
        }
        let cannot = |error: io::Error| {
            CommandError::new(
                exit::NO_INPUT,
                format!("cannot read {}: {error}", self.file.display()),
            )
        };
        let file = File::open(&self.file).map_err(cannot)?;
        if file.metadata().map_err(cannot)?.is_dir() {
            return Err(cannot(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Box::new(BufReader::with_capacity(64 * 1024, file)))
    }

    fn firebase(&self) -> Result<Option<HashConfig>, CommandError> {
        let Some(path) = &self.firebase_hash_config else { return Ok(None) };
        let cannot = |exit_code, error: String| {
            CommandError::new(exit_code, format!("cannot use {}: {error}", path.display()))
        };
        let content = read_regular(path, HASH_CONFIG_MAX);
        let content = content.map_err(|error| cannot(exit::NO_INPUT, error.to_string()))?;
        let config = String::from_utf8_lossy(&content).parse();
        config.map(Some).map_err(|error: NoHashConfig| cannot(exit::DATA, error.to_string()))
    }

    fn tell(&self, counts: Counts, is_complete: bool) -> io::Result<()> {
        let text = if self.json {
            serde_json::to_string(&counts.to_json(self.dry_run, is_complete))? + "\n"
        } else {
            counts.to_text(self.dry_run)
        };
        io::stdout().write_all(text.as_bytes())
    }

    fn result(&self, counts: Counts, ended: Result<(), Stopped>) -> Result<(), CommandError> {
        let file = self.file.display();
        let again = "run it again to go on";
        match ended {
            Ok(()) if counts.refused == 0 => Ok(()),
            Ok(()) => {
                Err(CommandError::new(exit::DATA, format!("{} users were refused", counts.refused)))
            }
            Err(Stopped::Read(ReadError::Io(error))) => Err(CommandError::new(
                exit::NO_INPUT,
                format!("cannot read {file}: {error}; {again}"),
            )),
            Err(Stopped::Read(ReadError::Form(problem))) => {
                Err(CommandError::new(exit::DATA, format!("cannot read {file}: {problem}")))
            }
            Err(Stopped::Service(error @ AdminError::NotRunning { .. })) if counts.sent() == 0 => {
                Err(error.into())
            }
            Err(Stopped::Service(error)) => {
                Err(CommandError::new(exit::TEMPORARY, format!("stopped: {error}; {again}")))
            }
            Err(Stopped::Report(error)) => Err(CommandError::new(
                exit::CANT_CREATE,
                format!("cannot write the errors: {error}; {again}"),
            )),
            Err(Stopped::Interrupted) => {
                Err(CommandError::new(exit::INTERRUPTED, format!("interrupted; {again}")))
            }
        }
    }
}

impl Importer<'_> {
    fn read(
        &mut self,
        format: Format,
        firebase: Option<&HashConfig>,
        input: &mut dyn BufRead,
    ) -> Result<(), Stopped> {
        read_users(format, firebase, input, &mut |place, found| self.take(place, found))?;
        self.send()
    }

    fn take(&mut self, place: Place, found: Found) -> Result<(), Stopped> {
        let checked = match found {
            Found::User(user) => check(user),
            refused @ Found::Refused { .. } => refused,
        };
        match checked {
            Found::User(user) => self.batch.push((place, user)),
            Found::Refused { username, reason } => {
                let refused = Fate::Refused(reason);
                let noted = self.report.note(place, username.as_deref(), &refused);
                noted.map_err(Stopped::Report)?;
            }
        }
        if self.batch.len() < usize::from(PAGE) { Ok(()) } else { self.send() }
    }

    /// Sends the batch, and notes what became of it.
    fn send(&mut self) -> Result<(), Stopped> {
        if self.stop.is_asked() {
            return Err(Stopped::Interrupted);
        }
        let (places, users): (Vec<_>, Vec<_>) = self.batch.drain(..).unzip();
        if users.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = users.iter().map(|user| user.username.clone()).collect();
        let command = AdminCommand::Import { users, is_dry_run: self.is_dry_run };
        let fates: Vec<Fate> = ask_service(self.data_dir, SERVICE, &command)?;
        for ((place, name), fate) in places.into_iter().zip(names).zip(fates) {
            self.report.note(place, Some(&name), &fate).map_err(Stopped::Report)?;
        }
        self.progress.show(self.report.counts);
        Ok(())
    }
}

/// Whether the service would take the user; the hash in the form that is stored, whose length is bounded.
fn check(user: NewUser) -> Found {
    let NewUser { username, password_hash } = user;
    let problem = match (Username::parse(&username), PasswordHash::take_over(&password_hash)) {
        (Ok(_), Ok(hash)) => {
            let password_hash = hash.expose_phc().to_owned();
            return Found::User(NewUser { username, password_hash });
        }
        (Err(error), _) => format!("the name {error}"),
        (_, Err(error)) => format!("the hash {error}"),
    };
    Found::Refused { username: Some(username), reason: problem }
}
