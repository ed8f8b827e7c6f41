//! `POST /logout/all`: ends all sessions of the user whose token it is called with.
//!
//! The session at hand ends here, at once. The others end by a new security stamp, which user_service
//! records in its log. The record that arrives here is the proof that it did: there is no other answer
//! to wait for, and by then this service refuses all tokens from before.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use contract::EndSessions;
use shared::actors::ask;
use shared::audit::{Action, Actor, AuditRecord};
use shared::bus::Bus;
use shared::bus::cloud_event::Codec;
use shared::bus::direct::DirectClient;
use shared::http::{Bearer, IgnoredBody, Problem, ProblemKind, RequestContext, RequestOrigin};
use shared::tokens::VerifiedToken;
use tokio::time::timeout;

use super::Api;
use super::bodies::LogoutResponse;
use super::token_rejection::TokenRejection;
use super::waiters::until_next_look;
use crate::actors::RevokeSession;
use crate::actors::user_event_consumer::UsersFreshness;
use crate::store::RevokeRefused;

/// How long the record may take to arrive: a follower that has lost the broker needs a moment to
/// follow directly.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// Takes the command to user_service.
#[derive(Clone)]
pub struct EndSessionsSender {
    /// One way.
    pub bus: Arc<dyn Bus>,
    /// The other, if the settings name it.
    pub direct: Option<DirectClient>,
    /// Encodes the command.
    pub codec: Codec,
    /// Has the record fetched, while user_service is followed directly.
    pub fresh: UsersFreshness,
}

impl EndSessionsSender {
    /// Sends the command by both ways: it does nothing where it comes twice.
    async fn send(self, command: EndSessions, traceparent: Option<String>) {
        let message = self.codec.encode_end_sessions(&command, traceparent);
        let over_the_bus = self.bus.publish(vec![message.clone()]);
        let directly = async {
            if let Some(client) = &self.direct {
                let sent = client.ask(message).await;
                self.fresh.want();
                note_failure(sent);
            }
        };
        let (published, ()) = tokio::join!(over_the_bus, directly);
        note_failure(published);
    }
}

fn note_failure<T>(sent: Result<T, impl std::error::Error + 'static>) {
    if let Err(error) = sent {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(error, "the command to end sessions was not sent this way");
    }
}

/// Log out everywhere
///
/// Ends all sessions of the user. With 200 all of them have ended, with 503 the session of this token
/// has. May be repeated with the same token until it expires, although it is invalid by then: sessions
/// that were begun since go on. A body is ignored.
#[utoipa::path(
    post, path = "/logout/all", operation_id = "logoutAll", tag = "tokens",
    security(("token" = [])),
    responses((status = 200, description = "All tokens of the user are invalid", body = LogoutResponse)),
)]
pub(super) async fn logout_all(
    bearer: Bearer,
    api: Data<Api>,
    (context, origin): (RequestContext, RequestOrigin),
    _: IgnoredBody,
) -> Result<HttpResponse, Problem> {
    let work = async |record: &mut AuditRecord| end(&bearer, &api, context, record).await;
    api.audit.follow(Action::LogoutAll, origin, work).await?;
    Ok(HttpResponse::Ok().json(LogoutResponse { status: "logout successful" }))
}

async fn end(
    bearer: &Bearer,
    api: &Api,
    context: RequestContext,
    record: &mut AuditRecord,
) -> Result<(), Problem> {
    let token = api.tokens.check_signed(&bearer.0).await?;
    record.by(Actor::User(token.user));
    record.about(token.user);
    // A failure here matters no more once the new stamp ends this session, too.
    let revoked = ask(&api.revocations, RevokeSession::of(&token, None)).await;
    let ended = end_all(api, &token, context.traceparent).await;
    match (ended, revoked) {
        (Ok(()), _) => Ok(()),
        (Err(problem), Ok(Ok(()) | Err(RevokeRefused::AlreadyDead))) => Err(problem),
        // Not even this session has ended.
        (Err(_), Ok(Err(refused))) => Err(refused.into()),
        (Err(_), Err(unanswered)) => Err(unanswered.into()),
    }
}

/// Returns when no token with the same stamp is accepted here any more.
async fn end_all(
    api: &Api,
    token: &VerifiedToken,
    traceparent: Option<String>,
) -> Result<(), Problem> {
    if api.tokens.has_ended(token)? {
        return Ok(());
    }
    let (id, stamp) = (token.user, token.stamp);
    actix_web::rt::spawn(api.end_sessions.clone().send(EndSessions { id, stamp }, traceparent));
    let arrived = async {
        let mut applied = api.applied.clone();
        loop {
            applied.mark_unchanged();
            if api.tokens.has_ended(token)? {
                return Ok::<(), TokenRejection>(());
            }
            until_next_look(&mut applied).await;
        }
    };
    match timeout(WAIT_MAX, arrived).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Err(Problem::new(
            ProblemKind::SessionsNotEnded,
            "user_service has not confirmed the end of the other sessions",
        )),
    }
}
