//! What `check` has found, in words and as JSON.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Agreement, CheckFailed, Finding, Place, Report};
use crate::regular_file::read_regular;
use crate::telemetry::ErrorChain;

/// The longest report that is read, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Of each database.
    pub databases: Vec<Report>,
    /// Whether databases of both services agree, for each pair that was compared.
    #[serde(default)]
    pub agreement: Vec<Agreement>,
}

impl Outcome {
    /// Reads what `check --json` of user_service has printed; `-` is the standard input. Answers with
    /// the place of its users.
    ///
    /// # Errors
    /// See [`CheckFailed`].
    pub fn read_place(path: &Path) -> Result<Place, CheckFailed> {
        let text = if path == Path::new("-") {
            io::read_to_string(io::stdin().lock()).map(String::into_bytes)
        } else {
            read_regular(path, BYTES_MAX)
        };
        let text = text.map_err(CheckFailed::input(path))?;
        let unusable = |why: String| CheckFailed::damaged(format!("{}: {why}", path.display()));
        let read: Self = serde_json::from_slice(&text)
            .map_err(|error| unusable(format!("not what `check --json` prints: {error}")))?;
        let place = read.databases.iter().find_map(|report| report.place);
        place.ok_or_else(|| unusable("it tells no place of users in the log".to_owned()))
    }

    /// Everything that is wrong.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let differing = self.agreement.iter().filter_map(|agreement| match agreement {
            Agreement::Differ(finding) => Some(finding),
            Agreement::Agree { .. } | Agreement::NotCompared { .. } => None,
        });
        self.databases.iter().flat_map(|report| &report.findings).chain(differing)
    }

    /// Whether databases were to be compared and could not be.
    pub fn is_not_compared(&self) -> bool {
        self.agreement.iter().any(|agreement| matches!(agreement, Agreement::NotCompared { .. }))
    }

    /// A line for each thing.
    pub fn in_words(&self) -> String {
        let mut text = String::new();
        let mut line = |words: String| {
            // Writing to memory cannot fail.
            let _ = writeln!(text, "{words}");
        };
        let told =
            |Finding { problem, repair }: &Finding| format!("{problem}. To repair it: {repair}");
        for Report { database, counted, findings, .. } in &self.databases {
            if findings.is_empty() {
                line(format!("{database}: good; {counted}"));
            }
            for finding in findings {
                line(format!("{database}: {}", told(finding)));
            }
        }
        for agreement in &self.agreement {
            line(match agreement {
                Agreement::Agree { seq } => {
                    format!("both services have the same users after record {seq}")
                }
                Agreement::Differ(finding) => told(finding),
                Agreement::NotCompared { reason } => format!("not compared: {reason}"),
            });
        }
        text
    }
}

impl Report {
    /// Of a database that could not be checked to the end because of itself.
    ///
    /// # Errors
    /// The failure, if it does not tell of the database.
    pub fn of_failure(
        database: String,
        failure: CheckFailed,
        repair: &str,
    ) -> Result<Self, CheckFailed> {
        let (problem, repair) = match failure {
            CheckFailed::Unusable { problem, repair: known } => (problem, known.unwrap_or(repair)),
            CheckFailed::Store(error) if !error.is_passing() => {
                (ErrorChain(&error).to_string(), repair)
            }
            other => return Err(other),
        };
        let findings = vec![Finding::new(problem, repair)];
        Ok(Self { database, place: None, counted: String::new(), findings })
    }
}
