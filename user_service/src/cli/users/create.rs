//! `users create`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use secrecy::ExposeSecret;
use shared::admin::ask_service;
use shared::cli::{CommandError, exit, read_new_password};

use crate::admin::{AdminCommand, Creation, SERVICE};

/// `users create`.
#[derive(Args, Clone, Debug)]
pub struct Create {
    /// The name of the new user
    #[arg(allow_hyphen_values = true)]
    username: String,
    /// A file with the password [default: the first line of the standard input; at a terminal it is asked
    /// for twice, and not shown]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    password_file: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Create {
    pub(super) fn run(self, data_dir: &Path) -> Result<(), CommandError> {
        let password = read_new_password(self.password_file.as_deref())?;
        let password = password.expose_secret().to_owned();
        let command = AdminCommand::Create { username: self.username, password };
        let user = match ask_service(data_dir, SERVICE, &command)? {
            Creation::Created(user) => user,
            Creation::Refused(why) => {
                return Err(CommandError::new(exit::DATA, format!("not created: {why}")));
            }
        };
        Ok(user.write_line(&mut io::stdout().lock(), self.json)?)
    }
}
