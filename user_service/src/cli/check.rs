//! `check`: the database of users.

use shared::backup::Stop;
use shared::checking::{CheckFailed, Outcome, Place, Report};
use shared::cli::{CommandError, exit, stop_on_signal, tell_check};

use crate::config::Config;
use crate::store::StoreError;
use crate::store::checking::{self, Checker, open_checker};

const RESTORE: &str = "stop user_service, move the database away, and restore a backup";

/// The users as of one moment.
pub struct UsersCheck {
    database: String,
    checker: Box<dyn Checker>,
}

impl UsersCheck {
    /// Opens the database of the settings. A report in its place says why it cannot be used.
    ///
    /// # Errors
    /// A setting is wrong, there is no database, it cannot be read, or it was interrupted.
    pub async fn open(config: &Config, stop: &Stop) -> Result<Result<Self, Report>, CommandError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(CommandError::new(exit::CONFIG, problems.join("; ")));
        }
        let place = config.place_of_users().map_err(|error| super::wrong(&error))?;
        let is_in_file = config.service.database.not_in_files().is_none();
        let file = || config.common.data_dir.join(crate::store::DATABASE).display().to_string();
        let database = if is_in_file { file() } else { "the database of DATABASE_URL".to_owned() };
        match open_checker(&place, &config.common.data_dir, stop).await {
            Ok(checker) => Ok(Ok(Self { database, checker })),
            Err(failure) => Ok(Err(Report::of_failure(database, failure, RESTORE)?)),
        }
    }

    /// Where the users are in the log, by what is stored.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn find_place(&self) -> Result<Place, StoreError> {
        checking::find_place(&*self.checker).await
    }

    /// Goes on to the present moment.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn renew(&self) -> Result<(), StoreError> {
        self.checker.renew().await
    }

    /// Checks everything.
    ///
    /// # Errors
    /// It was interrupted, or the database cannot be reached.
    pub async fn run(self, stop: &Stop) -> Result<Report, CheckFailed> {
        let Self { database, checker } = self;
        match checking::check(&*checker, database.clone(), stop).await {
            Err(failure) => Report::of_failure(database, failure, RESTORE),
            checked => checked,
        }
    }
}

/// Checks the users, and prints what is wrong.
pub(super) fn check(config: &Config, is_json: bool) -> Result<(), CommandError> {
    let stop = stop_on_signal()?;
    let checking = async {
        let report = match UsersCheck::open(config, &stop).await? {
            Ok(opened) => opened.run(&stop).await?,
            Err(report) => report,
        };
        let outcome = Outcome { databases: vec![report], ..Outcome::default() };
        tell_check(&outcome, is_json)
    };
    actix_web::rt::System::new().block_on(checking)
}
