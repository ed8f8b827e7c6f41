//! `users`: the users of the running service.

mod export;
mod formats;
mod import;
mod list;

use std::path::Path;

use clap::Subcommand;
use shared::admin::{AdminError, ask_service};
use shared::cli::{CommandError, ServiceCommand};

use self::export::Export;
use self::import::Import;
use crate::admin::{AdminCommand, ListedUser, SERVICE};

/// Commands to a running user_service.
#[derive(Clone, Debug, Subcommand)]
pub enum UserCommand {
    /// The users of the running user_service: list, import and export them
    #[command(subcommand)]
    Users(UsersCommand),
}

/// What to do with the users.
#[derive(Clone, Debug, Subcommand)]
pub enum UsersCommand {
    /// List the users: id and name, in order of their ids
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Create users with the password hashes of another system; a second run goes on where the first stopped
    ///
    /// Taken over are Argon2, bcrypt, scrypt (also Firebase's) and PBKDF2. Each hash is replaced by one of ours at the
    /// user's next login. Users whose name is there already are counted and left as they are.
    Import(Import),
    /// Write all users with their password hashes as JSON lines, in the form that `users import` reads
    Export(Export),
}

impl ServiceCommand for UserCommand {
    fn run(self, data_dir: &Path) -> Result<(), CommandError> {
        let Self::Users(command) = self;
        match command {
            UsersCommand::List { json } => list::list(data_dir, json),
            UsersCommand::Import(import) => import.run(data_dir),
            UsersCommand::Export(export) => export.run(data_dir),
        }
    }
}

/// Gives all users to `each`, page by page. Who is created or deleted meanwhile may be missing or there.
fn each_page<E: From<AdminError>>(
    data_dir: &Path,
    with_hashes: bool,
    mut each: impl FnMut(Vec<ListedUser>) -> Result<(), E>,
) -> Result<(), E> {
    let mut after = 0;
    loop {
        let command = AdminCommand::List { after, with_hashes };
        let page: Vec<ListedUser> = ask_service(data_dir, SERVICE, &command)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id;
        each(page)?;
    }
}

/// The exit codes of sysexits.
mod exit {
    /// Some of the input is wrong.
    pub(super) const DATA: u8 = 65;
    /// A file cannot be read.
    pub(super) const NO_INPUT: u8 = 66;
    /// A file cannot be written.
    pub(super) const CANT_CREATE: u8 = 73;
    /// It stopped in the middle, and may go on later.
    pub(super) const TEMPORARY: u8 = 75;
    /// A signal asked to stop: as shells have it.
    pub(super) const INTERRUPTED: u8 = 130;
}

fn failed(exit_code: u8, message: impl Into<String>) -> CommandError {
    CommandError::Other { message: message.into(), exit_code }
}
