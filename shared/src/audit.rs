//! The audit trail: who did what, to whom, from where, and with what outcome. docs/logging.md lists the
//! fields, which have the names of OpenTelemetry's conventions where those have one.

mod action;
mod on_files;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::UserId;
use contract::token_record::KeyId;
use data_encoding::BASE64URL_NOPAD;
use tracing::Level;

use crate::admin::{CommandError, Operator};
use crate::config::AuditNames;
use crate::http::{Problem, ProblemKind, RequestOrigin};
use crate::secrets::SealingKeys;
use crate::telemetry::ErrorChain;

pub use action::{Action, Actor};
pub use on_files::{BackupEnded, CommandTrail};

/// Keeps fingerprints of names apart from all others under the same key.
const PURPOSE: &[u8] = b"name in the audit trail";

/// Writes the audit trail. There is one in each service.
#[derive(Clone)]
pub struct AuditTrail {
    keys: Arc<SealingKeys>,
    names: AuditNames,
}

/// Where an action comes from.
#[derive(Clone, Debug)]
pub enum AuditOrigin {
    /// A request over HTTP.
    Request(RequestOrigin),
    /// A command, through the socket in the data directory or on the files there.
    Command(Operator),
}

impl From<RequestOrigin> for AuditOrigin {
    fn from(origin: RequestOrigin) -> Self {
        Self::Request(origin)
    }
}

impl From<Operator> for AuditOrigin {
    fn from(operator: Operator) -> Self {
        Self::Command(operator)
    }
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused, and nothing was done.
    Failure,
    /// It may have been done or not.
    Unknown,
    /// It was refused before anything was looked at.
    NotTried,
}

/// An error that tells how an action ended.
pub trait AuditedError: Error + Sized + 'static {
    /// How.
    fn outcome(&self) -> Outcome;

    /// What kind of error it is, if it has one: the last part of a problem's `type`.
    fn kind(&self) -> Option<&'static str> {
        None
    }

    /// Why, with all causes, if it is known.
    fn message(&self) -> Option<String> {
        Some(ErrorChain(self).to_string())
    }
}

impl AuditedError for Problem {
    fn outcome(&self) -> Outcome {
        match self.kind() {
            ProblemKind::Overloaded => Outcome::NotTried,
            kind if kind.status().is_server_error() => Outcome::Unknown,
            _ => Outcome::Failure,
        }
    }

    fn kind(&self) -> Option<&'static str> {
        Some(Self::kind(self).slug())
    }

    fn message(&self) -> Option<String> {
        self.source().map(|cause| ErrorChain(cause).to_string())
    }
}

impl AuditedError for CommandError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Refused(_) => Outcome::Failure,
            Self::Failed(_) => Outcome::Unknown,
        }
    }
}

/// One line of the trail, which is written when this is dropped: also if the client goes away before
/// there is an outcome.
pub struct AuditRecord {
    /// `None` of a command on files, which names nobody.
    trail: Option<AuditTrail>,
    action: Action,
    origin: AuditOrigin,
    actor: Actor,
    user: Option<UserId>,
    /// To how many users it is done, if that is not one.
    user_count: Option<usize>,
    name: Option<String>,
    key: Option<KeyId>,
    path: Option<PathBuf>,
    outcome: Outcome,
    error_type: Option<&'static str>,
    cause: Option<String>,
}

impl AuditTrail {
    /// A trail with fingerprints of names under the first of these keys.
    pub fn new(keys: Arc<SealingKeys>, names: AuditNames) -> Self {
        Self { keys, names }
    }

    /// Does the work, and writes down what came of it.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn follow<T, E: AuditedError>(
        &self,
        action: Action,
        origin: impl Into<AuditOrigin>,
        work: impl AsyncFnOnce(&mut AuditRecord) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut record = AuditRecord::new(Some(self.clone()), action, origin.into());
        let result = work(&mut record).await;
        record.note(&result);
        result
    }

    /// Equal for equal names, and of no use to whoever lacks the key.
    fn fingerprint(&self, name: &str) -> String {
        BASE64URL_NOPAD.encode(&self.keys.fingerprint_bytes(&[PURPOSE, name.as_bytes()]))
    }
}

impl AuditRecord {
    fn new(trail: Option<AuditTrail>, action: Action, origin: AuditOrigin) -> Self {
        Self {
            trail,
            action,
            actor: match origin {
                AuditOrigin::Request(_) => Actor::Anybody,
                AuditOrigin::Command(_) => Actor::Operator,
            },
            origin,
            user: None,
            user_count: None,
            name: None,
            key: None,
            path: None,
            outcome: Outcome::Unknown,
            error_type: None,
            cause: None,
        }
    }

    /// How the work ended, unless that was noted already.
    fn note<T, E: AuditedError>(&mut self, result: &Result<T, E>) {
        match result {
            Ok(_) if self.outcome == Outcome::Unknown => self.outcome = Outcome::Success,
            Ok(_) => {}
            Err(error) => {
                self.outcome = error.outcome();
                self.error_type = error.kind();
                self.cause = error.message();
            }
        }
    }

    /// What it has turned out to be.
    pub fn is_really(&mut self, action: Action) {
        self.action = action;
    }

    /// Who acts, once that is known.
    pub fn by(&mut self, actor: Actor) {
        self.actor = actor;
    }

    /// The user to whom it is done, once that is known.
    pub fn about(&mut self, user: UserId) {
        self.user = Some(user);
    }

    /// It is done to this many users.
    pub fn counts(&mut self, users: usize) {
        self.user_count = Some(users);
    }

    /// The key to which it is done, once that is known.
    pub fn about_key(&mut self, kid: KeyId) {
        self.key = Some(kid);
    }

    /// The directory outside the data directory to which, or from which, it is done.
    pub fn about_path(&mut self, path: &Path) {
        self.path = Some(absolute(path));
    }

    /// It was refused for this reason, although the work ends without an error.
    pub fn refused(&mut self, why: &str) {
        self.outcome = Outcome::Failure;
        self.cause = Some(why.to_owned());
    }

    /// The name that the client claims, in the form in which names are compared. Nobody may have it.
    pub fn claims(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }
}

/// A relative path means nothing to whoever reads the trail.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Drop for AuditRecord {
    fn drop(&mut self) {
        let outcome = match self.outcome {
            // A flood must not flood the trail, too.
            Outcome::NotTried => return,
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Unknown => "unknown",
        };
        let claimed = self.trail.as_ref().zip(self.name.as_deref());
        let hash = claimed.map(|(trail, name)| trail.fingerprint(name));
        let shown = claimed.filter(|(trail, _)| trail.names == AuditNames::On);
        let path = self.path.as_ref().map(|path| path.to_string_lossy());
        let (request, operator) = match &self.origin {
            AuditOrigin::Request(origin) => (Some(origin), None),
            AuditOrigin::Command(operator) => (None, Some(operator)),
        };
        // `info!` cannot begin with a name that has a dot.
        tracing::event!(target: "audit", Level::INFO, {
            event.name = self.action.name(),
            event.outcome = outcome,
            "error.type" = self.error_type,
            "error.message" = self.cause.as_deref(),
            user.id = self.user.map(|id| id.0),
            user.count = self.user_count,
            user.hash = hash.as_deref(),
            user.name = shown.map(|(_, name)| name),
            key.id = self.key.as_ref().map(tracing::field::display),
            file.path = path.as_deref(),
            actor.kind = self.actor.name(),
            actor.id = self.actor.id().map(|id| id.0),
            client.address = request.map(|origin| tracing::field::display(origin.client)),
            request_id = request.and_then(|origin| origin.request_id.as_deref()),
            process.user.id = operator.map(|operator| operator.uid),
            process.pid = operator.and_then(|operator| operator.pid),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::test_log::logged_by;

    fn trail(names: AuditNames) -> AuditTrail {
        AuditTrail::new(Arc::new(SealingKeys::parse(&SealingKeys::generate()).unwrap()), names)
    }

    fn origin() -> RequestOrigin {
        RequestOrigin { client: [192, 0, 2, 7].into(), request_id: Some("r1".to_owned()) }
    }

    #[tokio::test]
    async fn a_command_tells_the_account_that_gave_it() {
        let trail = trail(AuditNames::Off);
        let (operator, kid) = (Operator { uid: 1000, pid: Some(42) }, KeyId([0; 32]));
        let line = logged_by(trail.follow(Action::KillKey, operator, async |record| {
            record.about_key(kid);
            Err::<(), _>(CommandError::Refused("there is no such key".to_owned()))
        }))
        .await;
        assert_eq!(
            line,
            format!(
                " INFO audit: event.name=\"key.kill\" event.outcome=\"failure\" \
                 error.message=\"there is no such key\" key.id={kid} actor.kind=\"operator\" \
                 process.user.id=1000 process.pid=42\n"
            )
        );
    }

    #[tokio::test]
    async fn a_line_tells_who_did_what_to_whom_from_where_and_how_it_ended() {
        let trail = trail(AuditNames::Off);
        let line = logged_by(trail.follow(Action::EndSessions, origin(), async |record| {
            record.by(Actor::Administrator(Some(UserId(3))));
            record.about(UserId(7));
            Ok::<_, Problem>(())
        }))
        .await;
        assert_eq!(
            line,
            " INFO audit: event.name=\"sessions.end\" event.outcome=\"success\" user.id=7 \
             actor.kind=\"administrator\" actor.id=3 client.address=192.0.2.7 request_id=\"r1\"\n"
        );
    }

    async fn failed_login(trail: &AuditTrail, name: &str, kind: ProblemKind) -> String {
        logged_by(trail.follow(Action::Login, origin(), async |record| {
            record.claims(name);
            Err::<(), _>(Problem::new(kind, "refused"))
        }))
        .await
    }

    #[tokio::test]
    async fn failures_for_one_name_have_one_fingerprint_and_the_name_is_shown_only_where_it_may_be()
    {
        let hidden = trail(AuditNames::Off);
        let lines = [
            failed_login(&hidden, "anna", ProblemKind::WrongCredentials).await,
            failed_login(&hidden, "anna", ProblemKind::WrongCredentials).await,
            failed_login(&hidden, "berta", ProblemKind::WrongCredentials).await,
        ];
        assert!(lines[0].contains("event.outcome=\"failure\" error.type=\"wrong-credentials\""));
        assert!(lines[0].contains("user.hash=") && !lines[0].contains("anna"), "{}", lines[0]);
        assert_eq!(lines[0], lines[1]);
        assert_ne!(lines[0], lines[2]);
        let shown =
            failed_login(&trail(AuditNames::On), "anna", ProblemKind::WrongCredentials).await;
        assert!(shown.contains("user.name=\"anna\""), "{shown}");
    }

    #[tokio::test]
    async fn a_refusal_tells_its_reason_and_what_it_turned_out_to_be() {
        let trail = trail(AuditNames::Off);
        let line = logged_by(trail.follow(Action::RefreshToken, origin(), async |record| {
            record.is_really(Action::ReuseToken);
            let why = std::io::Error::other("it was traded before");
            Err::<(), _>(Problem::new(ProblemKind::InvalidToken, "no").with_source(why))
        }))
        .await;
        assert_eq!(
            line,
            " INFO audit: event.name=\"token.reuse\" event.outcome=\"failure\" \
             error.type=\"invalid-token\" error.message=\"it was traded before\" \
             actor.kind=\"anybody\" client.address=192.0.2.7 request_id=\"r1\"\n"
        );
    }

    #[tokio::test]
    async fn what_was_not_tried_is_left_out_and_what_may_have_happened_is_unknown() {
        let trail = trail(AuditNames::Off);
        assert_eq!(failed_login(&trail, "anna", ProblemKind::Overloaded).await, "");
        let broken = failed_login(&trail, "anna", ProblemKind::Internal).await;
        assert!(
            broken.contains("event.outcome=\"unknown\" error.type=\"internal-error\""),
            "{broken}"
        );
        let gone = logged_by(async {
            let work = trail.follow(Action::DeleteUser, origin(), async |_| {
                std::future::pending::<Result<(), Problem>>().await
            });
            let _ = tokio::time::timeout(std::time::Duration::ZERO, work).await;
        })
        .await;
        assert!(gone.contains("event.outcome=\"unknown\" actor.kind"), "{gone}");
    }
}
