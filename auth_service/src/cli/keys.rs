//! `keys`: the signing keys of the running service.

use std::io::{self, Write};
use std::path::Path;

use clap::{Args, Subcommand};
use shared::admin::{ask_service, find_running};
use shared::cli::CommandError;

use crate::admin::{AdminCommand, KeyState, ListedKey, SERVICE};

/// The command `keys`.
#[derive(Args, Clone, Debug)]
pub struct Keys {
    /// The replica, by the number of its place in DATA_DIR, if several run there
    #[arg(long, value_name = "N")]
    replica: Option<u32>,
    /// What to do
    #[command(subcommand)]
    command: KeysCommand,
}

/// What to do with the keys.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// List the keys: the one that signs, the next one, those whose tokens live on, and killed ones
    List {
        /// An array of JSON objects
        #[arg(long)]
        json: bool,
    },
    /// Let the next key sign, and list the keys. Tokens of the last one live on
    Rotate {
        /// An array of JSON objects
        #[arg(long)]
        json: bool,
    },
    /// Refuse every token that this key has signed, at once and for good; delete its private half
    Kill {
        /// The kid of the key
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// An array of JSON objects
        #[arg(long)]
        json: bool,
    },
}

impl Keys {
    /// Asks the service through the socket in its data directory, and prints the answer.
    ///
    /// # Errors
    /// The service is not running, or has refused it.
    pub(super) fn run(self, data_dir: &Path) -> Result<(), CommandError> {
        let Self { replica, command } = self;
        let (command, is_json) = match command {
            KeysCommand::List { json } => (AdminCommand::ListKeys, json),
            KeysCommand::Rotate { json } => (AdminCommand::RotateKeys, json),
            KeysCommand::Kill { kid, json } => (AdminCommand::KillKey { kid }, json),
        };
        let place = find_running(data_dir, SERVICE, replica)?;
        let keys: Vec<ListedKey> = ask_service(&place, SERVICE, &command)?;
        Ok(print(&keys, is_json)?)
    }
}

fn print(keys: &[ListedKey], is_json: bool) -> io::Result<()> {
    let text = if is_json {
        serde_json::to_string_pretty(keys)? + "\n"
    } else {
        keys.iter().map(line).collect()
    };
    io::stdout().write_all(text.as_bytes())
}

fn line(key: &ListedKey) -> String {
    let ListedKey { kid, state, alg, .. } = key;
    let state = match state {
        KeyState::Signing => "signing",
        KeyState::Next => "next",
        KeyState::Retired => "retired",
        KeyState::Published => "published",
        KeyState::Killed => "killed",
    };
    let alg = alg.as_deref().unwrap_or("-");
    format!("{kid}  {state:<9}  {alg}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_line() {
        let (kid, alg) = ("k".to_owned(), Some("EdDSA".to_owned()));
        let key = ListedKey { kid, state: KeyState::Next, alg, lifetime_s: None, until_s: None };
        assert_eq!(line(&key), "k  next       EdDSA\n");
    }
}
