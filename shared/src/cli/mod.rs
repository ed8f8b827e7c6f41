//! What every binary does in the same way: read the settings, serve until a signal, exit.
//!
//! A subcommand is a variant of [`Action`] and a file here, or the binary's own ([`ServiceCommand`]).

use std::error::Error;
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::admin::AdminError;
use crate::backup::{BackupError, ServiceData};
use crate::bus::AmqpBus;
use crate::capacity::Capacity;
use crate::config::{BusConfig, CommonConfig, HashingArgs, ListenAddress};
use crate::telemetry::ErrorChain;

mod backup;
mod check;
mod completions;
mod config;
pub mod exit;
mod healthcheck;
mod new_password;
mod serve;
mod settings;
mod signals;

pub use check::tell_check;
pub use new_password::read_new_password;
pub use settings::command;
pub use signals::stop_on_signal;

/// A binary: the parts that differ between the binaries.
pub trait Application {
    /// All settings.
    type Config: Args;
    /// The running services.
    type Running;
    /// The commands that only this binary has.
    type Command: ServiceCommand<Self::Config>;
    /// Name of the binary.
    const NAME: &'static str;
    /// A short description, for `--help`.
    const ABOUT: &'static str;
    /// How many services listen, each with HTTP workers of its own.
    const SERVICES: u64 = 1;
    /// What it keeps in the data directory, in the order in which a backup copies it.
    const DATA: &'static [ServiceData];

    /// The settings that every binary has.
    fn common(config: &Self::Config) -> &CommonConfig;

    /// What hashing costs.
    fn hashing(config: &Self::Config) -> &HashingArgs;

    /// Settings that are valid separately but in conflict: one line each.
    fn problems(config: &Self::Config) -> Vec<String>;

    /// The addresses where each service answers `/readyz`.
    fn probes(config: &Self::Config) -> Vec<&ListenAddress>;

    /// Where in the data directory the databases are that are backed up and restored.
    ///
    /// # Errors
    /// The data directory cannot be read.
    fn home(data_dir: &Path) -> io::Result<PathBuf> {
        Ok(data_dir.to_owned())
    }

    /// Why the data is not all in files that `backup` and `restore` could copy.
    fn not_in_files(_config: &Self::Config) -> Option<&'static str> {
        None
    }

    /// Starts it. `bus` is the broker, if the settings name one.
    fn start(
        config: Self::Config,
        capacity: Capacity,
        bus: Option<AmqpBus>,
    ) -> impl Future<Output = Result<Self::Running, Box<dyn Error>>>;

    /// What a person at a terminal sees when it runs.
    fn greeting(_running: &Self::Running) -> Option<String> {
        None
    }

    /// Finishes the work in progress, and stops.
    fn stop(running: Self::Running) -> impl Future<Output = ()>;
}

/// A subcommand of one binary, with the settings `C`: it asks the running service for something, or
/// works on its data.
pub trait ServiceCommand<C>: Subcommand {
    /// Does it, and prints what came of it.
    ///
    /// # Errors
    /// It was not done.
    fn run(self, config: C) -> Result<(), CommandError>;
}

/// A command of one binary failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It was not carried out.
    #[error(transparent)]
    Service(#[from] AdminError),
    /// The answer cannot be printed.
    #[error("cannot print the answer")]
    Print(#[from] io::Error),
    /// The command failed in a way of its own.
    #[error("{message}")]
    Other {
        /// What happened, in one line.
        message: String,
        /// Of [`exit`].
        exit_code: u8,
    },
}

impl CommandError {
    /// The command failed in a way of its own, told in one line, with an exit code of [`exit`].
    pub fn new(exit_code: u8, message: impl Into<String>) -> Self {
        Self::Other { message: message.into(), exit_code }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Service(AdminError::NotRunning { .. }) => exit::UNAVAILABLE,
            Self::Service(_) | Self::Print(_) => exit::FAILED,
            Self::Other { exit_code, .. } => *exit_code,
        }
    }
}

/// A binary that is one of two processes was started without a broker: the processes could not
/// communicate.
#[derive(Debug, thiserror::Error)]
#[error("set AMQP_URL or AMQP_URL_FILE; the binary `standalone` needs no broker")]
pub struct BrokerMissing;

impl BrokerMissing {
    /// The error, if no setting names a broker.
    pub fn in_config(config: &BusConfig) -> Option<Self> {
        (config.amqp_url.is_none() && config.amqp_url_file.is_none()).then_some(Self)
    }
}

/// The command line.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Cli<C: Args, S: Subcommand> {
    #[command(flatten)]
    config: C,
    #[command(subcommand)]
    action: Option<Action<S>>,
}

#[derive(Subcommand)]
enum Action<S: Subcommand> {
    /// Serve until SIGTERM, SIGHUP or Ctrl-C; a second signal ends it at once (the default)
    Serve,
    /// Ask the running service whether it is ready; exit 0 if it is
    Healthcheck,
    /// Print the settings that are in force, and where each of them comes from
    Config {
        /// One JSON object for each setting, in an array
        #[arg(long)]
        json: bool,
    },
    /// Copy the databases into a new directory, while the service runs; keys are not copied
    ///
    /// Keep the sealing key, which both services share, in another safe place. If it is lost, the
    /// sealed password hashes of auth_service cannot be opened, and it asks user_service for all of
    /// them again. Private signing keys never leave their data directory.
    Backup {
        /// The new backup: a directory that is empty or not there yet, outside DATA_DIR
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
        /// Print the manifest as JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy a backup into DATA_DIR, while the service is stopped; nothing is overwritten
    ///
    /// Put the sealing key back yourself: it is in no backup. Signing keys are in no backup either,
    /// so tokens from before the restore are refused, and everybody logs in again.
    Restore {
        /// The backup
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
        /// Print the manifest as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a script that completes the command line, for this shell
    Completions {
        /// The shell
        shell: Shell,
    },
    #[command(flatten)]
    Service(S),
}

const EXIT_CODES: &str = "\
Every setting is a flag or an environment variable; an empty or blank variable counts as unset.
Times are written as 500ms, 10s, 15m, 12h or 7d.

Exit codes: 0 done, 1 failed, 2 the command line is wrong, 69 the service is not running, 78 settings
are wrong. Of backup and restore: 65 a file is damaged or of a newer version, 66 a file is missing or
cannot be read, 73 a file cannot be written or would be overwritten, 75 the service runs, 130 interrupted.
Of migrate and move: 65 what arrived differs, 66 there is no such file, 73 the target has users of its
own, 75 a service runs, or the database server cannot be reached: run it again. Of check: 65 something is
wrong, 66 a file is missing or cannot be read, 75 the services could not be compared, or the database server
cannot be reached: run it again, 130 interrupted. Of users create: 65 the name or the password is refused,
66 the password cannot be read. Of users import and users export: 65 some users were refused, 66 the file
cannot be read, 73 a file cannot be written, 75 it stopped in the middle: run it again, 130 interrupted: run
it again";

/// The whole body of `main`.
pub fn run<A: Application>() -> ExitCode {
    match run_action::<A>() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(A::NAME),
    }
}

fn run_action<A: Application>() -> Result<(), Failure> {
    let mut settings = settings::parse::<A>(std::env::args_os().collect())?;
    match settings.cli.action.take().unwrap_or(Action::Serve) {
        Action::Serve => serve::serve::<A>(settings),
        Action::Healthcheck => {
            let config = settings.into_config(Vec::new())?;
            healthcheck::healthcheck(&A::probes(&config)).map_err(Failure::other)
        }
        Action::Config { json } => {
            let problems = problems::<A>(&settings.cli.config);
            let in_force = settings.in_force.clone();
            settings.into_config(problems)?;
            config::print(&in_force, json).map_err(Failure::other)
        }
        Action::Backup { directory, json } => backup::backup::<A>(settings, &directory, json),
        Action::Restore { directory, json } => backup::restore::<A>(settings, &directory, json),
        Action::Service(command) => {
            let config = settings.into_config(Vec::new())?;
            command.run(config).map_err(Failure::Command)
        }
        Action::Completions { shell } => completions::print::<A>(shell).map_err(Failure::other),
    }
}

/// Settings that are valid separately, and cannot be used: one line each.
fn problems<A: Application>(config: &A::Config) -> Vec<String> {
    [A::problems(config), A::common(config).secret_problems()].concat()
}

/// Why the process ends with a failure.
enum Failure {
    /// The command line cannot be parsed, or only asks for help.
    Usage(clap::Error),
    /// These settings are wrong, one line each.
    Settings(Vec<String>),
    /// A command to the running service failed.
    Command(CommandError),
    /// A backup was not made, or not restored.
    Backup(BackupError),
    /// Anything else.
    Other(Box<dyn Error>),
}

impl Failure {
    fn other(error: impl Into<Box<dyn Error>>) -> Self {
        Self::Other(error.into())
    }

    /// Prints it; returns the exit code.
    fn tell(self, binary: &str) -> ExitCode {
        match self {
            Self::Usage(error) => {
                // Nobody may read the output any more.
                let _ = error.print();
                u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
            }
            Self::Settings(problems) => {
                for problem in problems {
                    tell(&format!("{binary}: {problem}"));
                }
                ExitCode::from(exit::CONFIG)
            }
            Self::Command(error) => {
                tell(&format!("{binary}: {}", ErrorChain(&error)));
                ExitCode::from(error.exit_code())
            }
            Self::Backup(error) => {
                tell(&format!("{binary}: {}", ErrorChain(&error)));
                ExitCode::from(error.exit_code())
            }
            Self::Other(error) => {
                tell(&format!("{binary}: {}", ErrorChain(&*error)));
                ExitCode::FAILURE
            }
        }
    }
}

/// Prints to the person or supervisor that has started the process: the log may not be set up.
fn tell(text: &str) {
    // Nobody may read the output any more: the exit code says the same.
    let _ = writeln!(io::stderr(), "{text}");
}
