//! Commands that work on files. They write their line themselves, unless a service runs on the same data that can do it.

use std::path::PathBuf;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tracing::Dispatch;
use tracing::dispatcher::with_default;

use super::{Action, AuditOrigin, AuditRecord, AuditTrail, AuditedError, Outcome, absolute};
use crate::admin::{AdminError, Operator, ask_service, find_any_running};
use crate::backup::{BackupError, Job};
use crate::config::CommonConfig;
use crate::store_error::StoreError;
use crate::telemetry::{LoggingError, log_of_command};

/// Writes the line of a command to its standard error, in the form of a service's log.
pub struct CommandTrail(Dispatch);

impl CommandTrail {
    /// The trail of a command with these settings. It is there before the work, which must not end
    /// without a line.
    ///
    /// # Errors
    /// What to log is no filter.
    pub fn new(config: &CommonConfig) -> Result<Self, LoggingError> {
        log_of_command(&config.log, config.log_format).map(Self)
    }

    /// Does the work, and writes down what came of it.
    ///
    /// # Errors
    /// Those of the work.
    pub fn follow<T, E: AuditedError>(
        &self,
        action: Action,
        work: impl FnOnce(&mut AuditRecord) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut record = AuditRecord::new(None, action, AuditOrigin::Command(Operator::own()));
        let result = work(&mut record);
        record.note(&result);
        // Nothing but this line: what the work itself logs is for the log of a service.
        with_default(&self.0, || drop(record));
        result
    }

    /// The same for a backup. A service that runs on the data writes the line in place of the command: its log is
    /// kept, while what a command prints, in a container for instance, may reach nobody.
    ///
    /// # Errors
    /// Those of the work.
    pub(crate) fn follow_backup<T>(
        &self,
        job: Job<'_>,
        work: impl FnOnce(Job<'_>) -> Result<T, BackupError>,
    ) -> Result<T, BackupError> {
        let result = work(job);
        let error = result.as_ref().err().and_then(AuditedError::message);
        if tell_service(job, BackupEnded { path: absolute(job.directory), error }).is_ok() {
            return result;
        }
        self.follow(Action::Backup, |record| {
            record.about_path(job.directory);
            result
        })
    }
}

/// What a backup that was made beside a running service tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupEnded {
    path: PathBuf,
    /// Why there is none.
    error: Option<String>,
}

/// The same name in the commands of all services.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum ToAnyService {
    BackupEnded(BackupEnded),
}

/// Fails if no service runs on this data, or it knows no such command: then nothing was written.
fn tell_service(job: Job<'_>, ended: BackupEnded) -> Result<(), AdminError> {
    // A process of several services has them all in one directory.
    let service = job.services.last().map_or(job.binary, |data| data.service);
    let place = find_any_running(job.data_dir, service)?;
    ask_service::<_, IgnoredAny>(&place, service, &ToAnyService::BackupEnded(ended)).map(drop)
}

impl AuditTrail {
    /// Writes the line of a backup that this operator has made.
    pub fn write_backup(&self, BackupEnded { path, error }: BackupEnded, operator: Operator) {
        let mut record = AuditRecord::new(Some(self.clone()), Action::Backup, operator.into());
        record.about_path(&path);
        record.outcome = Outcome::Success;
        if let Some(why) = error {
            record.refused(&why);
        }
    }
}

impl AuditedError for BackupError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Running(_) => Outcome::NotTried,
            _ => Outcome::Failure,
        }
    }
}

impl AuditedError for StoreError {
    fn outcome(&self) -> Outcome {
        // It went away in the middle of the work.
        if self.is_passing() { Outcome::Unknown } else { Outcome::Failure }
    }
}
