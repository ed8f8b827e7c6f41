//! `POST /internal/sync`: the direct way of followers that cannot be served through the broker. It
//! is no part of the API: what comes and what is answered are the messages of the bus, with their MACs.

use std::convert::Infallible;

use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::{HttpResponse, web};
use contract::topology::END_SESSIONS_QUEUE;
use futures_util::stream::unfold;
use shared::bus::cloud_event::Undecodable;
use shared::bus::direct::{from_line, to_line};
use shared::http::{JsonBytes, Problem, ProblemKind};
use web::Bytes;

use super::Api;
use crate::actors::session_ender::end_sessions;
use crate::actors::sync_responder::TooManyQuestions;

/// Answers a question of auth_service; the messages of the answer are sent one a line, as they are
/// made. A command to end sessions is answered without a message, after the commit.
pub(super) async fn internal_sync(
    api: web::Data<Api>,
    JsonBytes(body): JsonBytes,
) -> Result<HttpResponse, Problem> {
    let delivery = from_line(&body).map_err(|error| malformed().with_source(error))?;
    if delivery.routing_key == END_SESSIONS_QUEUE {
        let command = api.codec.decode_end_sessions(&delivery).map_err(undecodable)?;
        end_sessions(&api.repository, command).await??;
        return Ok(HttpResponse::Ok().finish());
    }
    let question = api.codec.decode_question(&delivery).map_err(undecodable)?;
    let answers = api.questions.ask(question)?;
    let lines = unfold(answers, async |mut answers| {
        let answer = answers.recv().await?;
        Some((Ok::<_, Infallible>(Bytes::from(to_line(answer) + "\n")), answers))
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines))
}

fn malformed() -> Problem {
    Problem::new(ProblemKind::Malformed, "the body must be one message")
}

fn undecodable(error: Undecodable) -> Problem {
    match error {
        Undecodable::NotAuthentic(error) => {
            let detail =
                "the message does not have the MAC of a service with the same sealing keys";
            Problem::new(ProblemKind::InvalidToken, detail)
                .with_header(WWW_AUTHENTICATE, "Lockstep-MAC")
                .with_source(error)
        }
        other => malformed().with_source(other),
    }
}

impl From<TooManyQuestions> for Problem {
    fn from(_: TooManyQuestions) -> Self {
        Self::new(ProblemKind::Overloaded, "too many questions of followers wait")
    }
}
