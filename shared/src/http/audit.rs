//! The audit trail: who did what, to whom, from where, and with what outcome. docs/logging.md lists the
//! fields, which have the names of OpenTelemetry's conventions where those have one.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use contract::UserId;
use data_encoding::BASE64URL_NOPAD;
use tracing::Level;

use super::client_address::ClientAddress;
use super::context::RequestContext;
use super::problem::{Problem, ProblemKind};
use crate::config::AuditNames;
use crate::secrets::SealingKeys;
use crate::telemetry::ErrorChain;

/// Keeps fingerprints of names apart from all others under the same key.
const PURPOSE: &[u8] = b"name in the audit trail";

/// Writes the audit trail. There is one in each service.
#[derive(Clone)]
pub struct AuditTrail {
    keys: Arc<SealingKeys>,
    names: AuditNames,
}

/// What is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A name and a password for a token.
    Login,
    /// The end of the session of a token.
    Logout,
    /// The end of all sessions of a user, by the user.
    LogoutAll,
    /// The end of a session, by a service with a client secret.
    Revoke,
    /// A token for a new one of its session.
    RefreshToken,
    /// A token was traded a second time, which ended its session.
    ReuseToken,
    /// A user is created.
    CreateUser,
    /// A user gets another name.
    UpdateUser,
    /// A user is deleted.
    DeleteUser,
    /// A new password for the current one, or by an administrator.
    ChangePassword,
    /// A reset token is made.
    MakeResetToken,
    /// A new password for a reset token.
    ResetPassword,
    /// The end of all sessions of a user, by an administrator.
    EndSessions,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::LogoutAll => "logout.all",
            Self::Revoke => "token.revoke",
            Self::RefreshToken => "token.refresh",
            Self::ReuseToken => "token.reuse",
            Self::CreateUser => "user.create",
            Self::UpdateUser => "user.update",
            Self::DeleteUser => "user.delete",
            Self::ChangePassword => "password.change",
            Self::MakeResetToken => "password.reset_token",
            Self::ResetPassword => "password.reset",
            Self::EndSessions => "sessions.end",
        }
    }
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Not known: access is open, or the request is what proves it.
    Anybody,
    /// A user with a live token.
    User(UserId),
    /// An administrator: this user, or whoever has the token of the first administrator.
    Administrator(Option<UserId>),
    /// A service with a client secret.
    Client,
}

impl Actor {
    fn name(self) -> &'static str {
        match self {
            Self::Anybody => "anybody",
            Self::User(_) => "user",
            Self::Administrator(_) => "administrator",
            Self::Client => "client",
        }
    }

    fn id(self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(id),
            Self::Administrator(id) => id,
            Self::Anybody | Self::Client => None,
        }
    }
}

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct RequestOrigin {
    client: IpAddr,
    /// Finds the access line, which has the status and the cause.
    request_id: Option<String>,
}

impl FromRequest for RequestOrigin {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let ClientAddress(client) = ClientAddress::of(request);
        let extensions = request.extensions();
        let context = extensions.get::<RequestContext>();
        ready(Ok(Self { client, request_id: context.map(|context| context.request_id.clone()) }))
    }
}

/// One line of the trail, which is written when this is dropped: also if the client goes away before
/// there is an outcome.
pub struct AuditRecord {
    trail: AuditTrail,
    action: Action,
    origin: RequestOrigin,
    actor: Actor,
    user: Option<UserId>,
    name: Option<String>,
    outcome: Outcome,
    /// Why it was refused, as in the access line.
    cause: Option<String>,
}

#[derive(Clone, Copy)]
enum Outcome {
    Success,
    /// With the last part of the problem's `type`.
    Failure(&'static str),
    /// It may have been done or not.
    Unknown(Option<&'static str>),
}

impl AuditTrail {
    /// A trail with fingerprints of names under the first of these keys.
    pub fn new(keys: Arc<SealingKeys>, names: AuditNames) -> Self {
        Self { keys, names }
    }

    /// Does the work, and writes down what came of it.
    pub async fn follow<T>(
        &self,
        action: Action,
        origin: RequestOrigin,
        work: impl AsyncFnOnce(&mut AuditRecord) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let mut record = AuditRecord {
            trail: self.clone(),
            action,
            origin,
            actor: Actor::Anybody,
            user: None,
            name: None,
            outcome: Outcome::Unknown(None),
            cause: None,
        };
        let result = work(&mut record).await;
        let cause = result.as_ref().err().and_then(Error::source);
        record.cause = cause.map(|cause| ErrorChain(cause).to_string());
        record.outcome = match &result {
            Ok(_) => Outcome::Success,
            Err(problem) if problem.kind().status().is_server_error() => {
                Outcome::Unknown(Some(problem.kind().slug()))
            }
            Err(problem) => Outcome::Failure(problem.kind().slug()),
        };
        result
    }

    /// Equal for equal names, and of no use to whoever lacks the key.
    fn fingerprint(&self, name: &str) -> String {
        BASE64URL_NOPAD.encode(&self.keys.fingerprint_bytes(&[PURPOSE, name.as_bytes()]))
    }
}

impl AuditRecord {
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

    /// The name that the client claims, in the form in which names are compared. Nobody may have it.
    pub fn claims(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }
}

impl Drop for AuditRecord {
    fn drop(&mut self) {
        let (outcome, error) = match self.outcome {
            // Nothing was tried: a flood must not flood the trail, too.
            Outcome::Unknown(Some(kind)) if kind == ProblemKind::Overloaded.slug() => return,
            Outcome::Success => ("success", None),
            Outcome::Failure(kind) => ("failure", Some(kind)),
            Outcome::Unknown(kind) => ("unknown", kind),
        };
        let name = self.name.as_deref();
        let hash = name.map(|name| self.trail.fingerprint(name));
        // `info!` cannot begin with a name that has a dot.
        tracing::event!(target: "audit", Level::INFO, {
            event.name = self.action.name(),
            event.outcome = outcome,
            "error.type" = error,
            "error.message" = self.cause.as_deref(),
            user.id = self.user.map(|id| id.0),
            user.hash = hash.as_deref(),
            user.name = name.filter(|_| self.trail.names == AuditNames::On),
            actor.kind = self.actor.name(),
            actor.id = self.actor.id().map(|id| id.0),
            client.address = %self.origin.client,
            request_id = self.origin.request_id.as_deref(),
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
    async fn a_line_tells_who_did_what_to_whom_from_where_and_how_it_ended() {
        let trail = trail(AuditNames::Off);
        let line = logged_by(trail.follow(Action::EndSessions, origin(), async |record| {
            record.by(Actor::Administrator(Some(UserId(3))));
            record.about(UserId(7));
            Ok(())
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
