//! Read your own writes: a login that waits for a write to arrive here.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use contract::Position;
use shared::http::{CONSISTENCY_TOKEN, Problem, ProblemKind};
use tokio::time::timeout;
use utoipa::IntoParams;

use super::Api;

/// The `Consistency-Token` header, if there is one.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct WaitFor {
    /// The value of this header in the answer to a write to user_service: the login waits, up to
    /// LOGIN_WAIT, until that write has been applied here
    #[param(rename = "Consistency-Token", value_type = Option<String>,
            pattern = "^[A-Za-f][A-Za-z0-9_-]{31}$")]
    position: Option<Position>,
}

impl WaitFor {
    /// Waits until the write has been applied, for as long as the setting allows.
    pub(super) async fn wait(self, api: &Api) -> Result<(), Problem> {
        let Some(position) = self.position else { return Ok(()) };
        let mut applied = api.applied.clone();
        if !applied.borrow().includes(position) {
            api.authenticator.fresh.want();
        }
        let arrived = applied.wait_for(|applied| applied.includes(position));
        match timeout(api.login_wait, arrived).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(closed)) => Err(Problem::internal(closed)),
            Err(_) => {
                let detail =
                    "the write named by the Consistency-Token has not been applied here yet";
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
        let position = match (values.next(), values.next()) {
            (None, _) => Some(None),
            (Some(value), None) => value.to_str().ok().and_then(Position::decode).map(Some),
            (Some(_), Some(_)) => None,
        };
        ready(position.map(|position| Self { position }).ok_or_else(|| {
            let detail =
                "Consistency-Token must be one value, taken from an answer of user_service";
            Problem::new(ProblemKind::Malformed, detail)
        }))
    }
}
