//! `migrate`: the tables of the users, without serving.

use std::io::{self, Write};

use shared::audit::{Action, AuditRecord, CommandTrail};
use shared::cli::{CommandError, exit};
use shared::secrets::{DataDirClaim, claim_data_dir};
use shared::telemetry::ErrorChain;

use super::wrong;
use crate::DATA;
use crate::config::Config;
use crate::store::StoreError;

/// Makes the migrations that the database lacks.
pub(super) fn migrate(config: &Config) -> Result<(), CommandError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(CommandError::new(exit::CONFIG, problems.join("; ")));
    }
    let store = config.store(&config.common.data_dir).map_err(|error| wrong(&error))?;
    let _claim = claim_file(config)?;
    let trail = CommandTrail::new(&config.common).map_err(|error| wrong(&error))?;
    let migrating = async { store.migrate().await };
    let migrate = |_: &mut AuditRecord| actix_web::rt::System::new().block_on(migrating);
    trail.follow(Action::Migrate, migrate).map_err(|error| refused(&error))?;
    Ok(writeln!(io::stdout(), "the tables are up to date")?)
}

/// A database in a file is migrated while no service uses it: one of the version before could not
/// go on.
fn claim_file(config: &Config) -> Result<Option<DataDirClaim>, CommandError> {
    if config.service.database.not_in_files().is_some() {
        return Ok(None);
    }
    let claimed = claim_data_dir(&config.common.data_dir, DATA.service);
    claimed
        .map(Some)
        .map_err(|error| CommandError::new(exit::TEMPORARY, ErrorChain(&error).to_string()))
}

/// What passes may be tried again; the rest is for the operator to settle.
fn refused(error: &StoreError) -> CommandError {
    let exit_code = if error.is_passing() { exit::TEMPORARY } else { exit::CONFIG };
    CommandError::new(exit_code, ErrorChain(error).to_string())
}
