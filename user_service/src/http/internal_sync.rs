//! `POST /internal/sync`: the direct way of followers that cannot be served through the broker. It
//! is no part of the API: what comes and what is answered are the messages of the bus, with their MACs.

use std::convert::Infallible;

use actix_web::{HttpResponse, web};
use contract::topology::END_SESSIONS_QUEUE;
use futures_util::stream::unfold;
use shared::bus::direct::to_line;
use shared::http::{DirectMessage, Problem, ProblemKind};
use web::Bytes;

use super::Api;
use crate::actors::session_ender::end_sessions;
use crate::actors::sync_responder::TooManyQuestions;

/// Answers a question of auth_service; the messages of the answer are sent one a line, as they are
/// made. A command to end sessions is answered without a message, after the commit.
pub(super) async fn internal_sync(
    api: web::Data<Api>,
    DirectMessage(delivery): DirectMessage,
) -> Result<HttpResponse, Problem> {
    if delivery.routing_key == END_SESSIONS_QUEUE {
        let (command, traceparent) = api.codec.decode_end_sessions(&delivery)?;
        end_sessions(&api.repository, command, traceparent).await??;
        return Ok(HttpResponse::Ok().finish());
    }
    let question = api.codec.decode_question(&delivery)?;
    let answers = api.questions.ask(question)?;
    let lines = unfold(answers, async |mut answers| {
        let answer = answers.recv().await?;
        Some((Ok::<_, Infallible>(Bytes::from(to_line(answer) + "\n")), answers))
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines))
}

impl From<TooManyQuestions> for Problem {
    fn from(_: TooManyQuestions) -> Self {
        Self::new(ProblemKind::Overloaded, "too many questions of followers wait")
    }
}
