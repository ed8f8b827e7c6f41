//! `move`: the users and their log into another database.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use shared::audit::{Action, AuditRecord, AuditedError, CommandTrail, Outcome};
use shared::cli::{CommandError, exit};
use shared::regular_file::directory_of;
use shared::secrets::{DataDirClaim, DataDirError, claim_data_dir};
use shared::telemetry::ErrorChain;

use crate::DATA;
use crate::config::Config;
use crate::store::StoreError;
use crate::store::moving::{Arrived, MoveError, file_of, move_end, move_log};

/// How often it is told how far it is.
const TOLD: Duration = Duration::from_secs(1);

/// From where to where.
#[derive(Args, Clone, Debug)]
pub struct Move {
    /// The database that has the users: the path of a users.db, or a URL
    #[arg(long, value_name = "PATH|URL")]
    from: SecretString,
    /// An empty database [default: the one of the settings, so that DATABASE_URL_FILE keeps a password
    /// off the command line]
    #[arg(long, value_name = "PATH|URL")]
    to: Option<SecretString>,
}

impl Move {
    /// Moves everything, or goes on with that.
    pub(super) fn run(self, config: &Config) -> Result<(), CommandError> {
        let data_dir = &config.common.data_dir;
        let trail = CommandTrail::new(&config.common).map_err(|error| wrong("LOG", &error))?;
        let to = match self.to {
            Some(to) => to,
            None => config.place_of_users().map_err(|error| wrong("--to", &error))?,
        };
        let (from, to) = (self.from, to);
        if from.expose_secret() == to.expose_secret() {
            return Err(CommandError::new(exit::CONFIG, "--from and --to name the same database"));
        }
        let source = move_end(&from, data_dir).map_err(|error| wrong("--from", &error))?;
        let target = move_end(&to, data_dir).map_err(|error| wrong("--to", &error))?;
        if let Some(path) = file_of(&from).filter(|path| !path.exists()) {
            return Err(CommandError::new(
                exit::NO_INPUT,
                format!("{}: there is no such file", path.display()),
            ));
        }
        let _claims = [claim(&from)?, claim(&to)?];
        let mut told_at = Instant::now();
        let progress = |Arrived { user_id, seq }: Arrived| {
            if told_at.elapsed() >= TOLD {
                told_at = Instant::now();
                // Nobody may read it any more.
                let _ = writeln!(
                    io::stderr(),
                    "moved the users up to id {user_id}, and the log up to {seq}"
                );
            }
        };
        let moving = async { move_log(&*source, &*target, progress).await };
        let work = |_: &mut AuditRecord| actix_web::rt::System::new().block_on(moving);
        let log = trail.follow(Action::Move, work).map_err(|error| refused(&error))?;
        let end = log.end_seq();
        Ok(writeln!(
            io::stdout(),
            "moved everything, as the checksum shows; the log ends at {end}. Start the service on the \
             new database, and never again on the old one"
        )?)
    }
}

/// Keeps services off the directory of a database file.
fn claim(place: &SecretString) -> Result<Option<DataDirClaim>, CommandError> {
    let Some(path) = file_of(place) else { return Ok(None) };
    let claimed = claim_data_dir(directory_of(path), DATA.service);
    claimed.map(Some).map_err(|error| {
        let exit_code = match error {
            DataDirError::Io { .. } => exit::CANT_CREATE,
            _ => exit::TEMPORARY,
        };
        CommandError::new(exit_code, ErrorChain(&error).to_string())
    })
}

impl AuditedError for MoveError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Running(_) => Outcome::NotTried,
            Self::NotEmpty | Self::OtherMove | Self::Changed | Self::Differs => Outcome::Failure,
            Self::Store(error) => error.outcome(),
        }
    }
}

fn wrong(flag: &str, error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::new(exit::CONFIG, format!("{flag}: {}", ErrorChain(error)))
}

fn refused(error: &MoveError) -> CommandError {
    let exit_code = match error {
        MoveError::NotEmpty | MoveError::OtherMove => exit::CANT_CREATE,
        MoveError::Running(_) => exit::TEMPORARY,
        MoveError::Changed | MoveError::Differs => exit::DATA,
        MoveError::Store(error) if StoreError::is_passing(error) => exit::TEMPORARY,
        MoveError::Store(_) => exit::CONFIG,
    };
    CommandError::new(exit_code, ErrorChain(error).to_string())
}
