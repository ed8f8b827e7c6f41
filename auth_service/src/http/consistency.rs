//! Read your own writes: a login that waits for a write to arrive here.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use contract::ConsistencyToken;
use shared::http::{CONSISTENCY_TOKEN, Problem, ProblemKind};
use tokio::time::timeout;

use super::Api;

/// The `Consistency-Token` header, if there is one.
pub(super) struct WaitFor(Option<ConsistencyToken>);

impl WaitFor {
    /// Waits until the write has been applied, for as long as the setting allows.
    pub(super) async fn wait(self, handles: &Api) -> Result<(), Problem> {
        let Some(ConsistencyToken { seq }) = self.0 else { return Ok(()) };
        let mut applied = handles.applied.clone();
        let arrived = applied.wait_for(|applied| applied.seq() >= seq);
        match timeout(handles.login_wait, arrived).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(closed)) => Err(Problem::internal(closed)),
            Err(_) => {
                let detail = "the write that the Consistency-Token names has not arrived here yet";
                Err(Problem::new(ProblemKind::NotYetApplied, detail))
            }
        }
    }
}

impl FromRequest for WaitFor {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut values = request.headers().get_all(CONSISTENCY_TOKEN);
        let token = match (values.next(), values.next()) {
            (None, _) => Some(None),
            (Some(value), None) => value.to_str().ok().and_then(ConsistencyToken::decode).map(Some),
            (Some(_), Some(_)) => None,
        };
        ready(token.map(Self).ok_or_else(|| {
            let detail = "Consistency-Token must be one value as an answer of user_service had it";
            Problem::new(ProblemKind::Malformed, detail)
        }))
    }
}
