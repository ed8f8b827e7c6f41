//! `users`: the users of the running service.

mod create;
mod export;
mod formats;
mod import;
mod list;

use std::path::Path;

use clap::Subcommand;
use shared::admin::{AdminError, ask_service, find_any_running};
use shared::cli::CommandError;

use self::create::Create;
use self::export::Export;
use self::import::Import;
use crate::admin::{AdminCommand, ListedUser, SERVICE};

/// What to do with the users.
#[derive(Clone, Debug, Subcommand)]
pub enum UsersCommand {
    /// Create a user, with a password that is not in the command line
    Create(Create),
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

impl UsersCommand {
    pub(super) fn run(self, data_dir: &Path) -> Result<(), CommandError> {
        let data_dir = &find_any_running(data_dir, SERVICE)?;
        match self {
            Self::Create(create) => create.run(data_dir),
            Self::List { json } => list::list(data_dir, json),
            Self::Import(import) => import.run(data_dir),
            Self::Export(export) => export.run(data_dir),
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
