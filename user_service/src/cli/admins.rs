//! `admins`: who is an administrator, by the log of the running service.

use std::io::{self, Write};
use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;
use shared::admin::{ask_service, find_any_running};
use shared::cli::CommandError;

use crate::admin::{AdminCommand, ListedUser, RoleSet, SERVICE, UserRef};

/// What to do with the administrators.
#[derive(Clone, Debug, Subcommand)]
pub enum AdminsCommand {
    /// List the administrators: id and name, in order of their ids
    ///
    /// Those whom the setting ADMINS of auth_service names are not in the list.
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make a user an administrator
    ///
    /// All sessions of the user end. From the next login on, their tokens have the scope admin.
    Add(NewRole),
    /// Make an administrator a user like all others
    ///
    /// All sessions of the user end, so no token with the scope admin is left. A user whom the setting ADMINS of
    /// auth_service names gets the scope again at the next login.
    Remove(NewRole),
}

/// `add` and `remove`.
#[derive(Args, Clone, Debug)]
pub struct NewRole {
    #[command(flatten)]
    user: Chosen,
    /// Print the outcome as a JSON object
    #[arg(long)]
    json: bool,
}

/// The user whom a command is about.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct Chosen {
    /// The name of the user
    #[arg(value_name = "USERNAME")]
    username: Option<String>,
    /// The id of the user, in place of the name
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    id: Option<i64>,
}

/// The outcome of `add` and `remove`, with `--json`.
#[derive(Serialize)]
struct Outcome<'a> {
    id: i64,
    username: &'a str,
    is_admin: bool,
    /// It was not so before.
    changed: bool,
}

impl AdminsCommand {
    pub(super) fn run(self, data_dir: &Path) -> Result<(), CommandError> {
        let data_dir = &find_any_running(data_dir, SERVICE)?;
        match self {
            Self::List { json } => list(data_dir, json),
            Self::Add(role) => role.set(data_dir, true),
            Self::Remove(role) => role.set(data_dir, false),
        }
    }
}

fn list(data_dir: &Path, is_json: bool) -> Result<(), CommandError> {
    let admins: Vec<ListedUser> = ask_service(data_dir, SERVICE, &AdminCommand::ListAdmins)?;
    let mut output = io::stdout().lock();
    for user in admins {
        user.write_line(&mut output, is_json)?;
    }
    Ok(output.flush()?)
}

impl NewRole {
    fn set(self, data_dir: &Path, is_admin: bool) -> Result<(), CommandError> {
        let Chosen { id, username } = self.user;
        // The command line has one of them.
        let user = id.map_or_else(|| UserRef::Name(username.unwrap_or_default()), UserRef::Id);
        let command = AdminCommand::SetRole { user, is_admin };
        let RoleSet { id, username, is_changed } = ask_service(data_dir, SERVICE, &command)?;
        let mut output = io::stdout().lock();
        if self.json {
            let outcome = Outcome { id, username: &username, is_admin, changed: is_changed };
            serde_json::to_writer(&mut output, &outcome).map_err(io::Error::from)?;
            writeln!(output)?;
        } else {
            let now = match (is_admin, is_changed) {
                (true, true) => "is an administrator now: log in again to use it",
                (true, false) => "was an administrator already: nothing was changed",
                (false, true) => "is no administrator now, and all sessions have ended",
                (false, false) => "was no administrator: nothing was changed",
            };
            writeln!(output, "{username} (id {id}) {now}")?;
        }
        Ok(output.flush()?)
    }
}
