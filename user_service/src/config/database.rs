//! Where the users are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use secrecy::SecretString;
use shared::config::secret_or_file;
use shared::secrets::{KeyFileError, warn_if_open};
use shared::telemetry::ErrorChain;

use crate::store::{self, InvalidUrl, Store};

/// Where the users are.
#[derive(Args, Clone, Debug)]
pub struct DatabaseConfig {
    /// URL of a database of PostgreSQL 15 or later for the users; several hosts with commas between
    /// them. TLS unless the host is this machine or the URL ends with ?sslmode=disable
    /// [default: SQLite, in DATA_DIR/users.db]
    #[arg(
        long,
        env,
        value_name = "postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        hide_env_values = true
    )]
    pub database_url: Option<SecretString>,

    /// File that contains DATABASE_URL
    #[arg(long, env, value_name = "FILE")]
    pub database_url_file: Option<PathBuf>,

    /// URL of the same database without a pooler between, for notifications: they do not pass
    /// PgBouncer in transaction mode, and without them changes of other processes are seen within a
    /// second [default: DATABASE_URL]
    #[arg(
        long,
        env,
        value_name = "postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        hide_env_values = true
    )]
    pub database_listen_url: Option<SecretString>,

    /// File that contains DATABASE_LISTEN_URL
    #[arg(long, env, value_name = "FILE")]
    pub database_listen_url_file: Option<PathBuf>,
}

/// The database that the settings name cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file cannot be read.
    #[error("{0}_FILE")]
    File(&'static str, #[source] KeyFileError),
    /// The URL is wrong.
    #[error("{0}")]
    Url(&'static str, #[source] InvalidUrl),
    /// There is nothing to listen to.
    #[error("DATABASE_LISTEN_URL is for a pooler at DATABASE_URL, which is not set")]
    NothingToListenTo,
}

const URL: &str = "DATABASE_URL";
const LISTEN_URL: &str = "DATABASE_LISTEN_URL";

impl DatabaseConfig {
    /// What is wrong, in one line.
    pub(super) fn problem(&self) -> Option<String> {
        let listens_twice =
            self.database_listen_url.is_some() && self.database_listen_url_file.is_some();
        for (name, is_twice) in [
            (URL, self.database_url.is_some() && self.database_url_file.is_some()),
            (LISTEN_URL, listens_twice),
        ] {
            if is_twice {
                return Some(format!("set {name} or {name}_FILE, not both"));
            }
        }
        self.check().err().map(|error| ErrorChain(&error).to_string())
    }

    fn check(&self) -> Result<(), DatabaseError> {
        let (url, listen_url) = (self.url()?, self.listen_url()?);
        for (name, url) in [(URL, &url), (LISTEN_URL, &listen_url)] {
            if let Some(url) = url {
                store::check_url(url).map_err(|error| DatabaseError::Url(name, error))?;
            }
        }
        if url.is_none() && listen_url.is_some() {
            return Err(DatabaseError::NothingToListenTo);
        }
        Ok(())
    }

    /// DATABASE_URL, or what its file contains.
    pub(super) fn url(&self) -> Result<Option<SecretString>, DatabaseError> {
        secret_or_file(self.database_url.as_ref(), self.database_url_file.as_ref())
            .map_err(|error| DatabaseError::File(URL, error))
    }

    /// DATABASE_LISTEN_URL, or what its file contains.
    fn listen_url(&self) -> Result<Option<SecretString>, DatabaseError> {
        let file = self.database_listen_url_file.as_ref();
        secret_or_file(self.database_listen_url.as_ref(), file)
            .map_err(|error| DatabaseError::File(LISTEN_URL, error))
    }

    /// Why a backup of the files would not have the users.
    pub fn not_in_files(&self) -> Option<&'static str> {
        let is_elsewhere = self.database_url.is_some() || self.database_url_file.is_some();
        is_elsewhere.then_some(
            "the users are in the database of DATABASE_URL: back it up, and restore it, by its own \
             means, such as pg_dump",
        )
    }

    /// The database; `directory` has the file, or what is known of the server.
    pub(super) fn store(&self, directory: &Path) -> Result<Arc<dyn Store>, DatabaseError> {
        let files = [&self.database_url_file, &self.database_listen_url_file];
        files.into_iter().flatten().for_each(|path| warn_if_open(path));
        let Some(url) = self.url()? else {
            return Ok(store::in_file(directory.join(store::DATABASE)));
        };
        store::at_url(&url, self.listen_url()?.as_ref(), directory)
            .map_err(|error| DatabaseError::Url(URL, error))
    }
}
