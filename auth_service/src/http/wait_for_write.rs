//! Read your own writes: a login that waits for a write to arrive here.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use contract::ConsistencyToken;
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
            pattern = "^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$")]
    token: Option<ConsistencyToken>,
}

impl WaitFor {
    /// Waits until the write has been applied, for as long as the setting allows.
    pub(super) async fn wait(self, api: &Api) -> Result<(), Problem> {
        let Some(ConsistencyToken { seq }) = self.token else { return Ok(()) };
        let mut applied = api.applied.clone();
        if applied.borrow().seq() < seq {
            api.authenticator.fresh.want();
        }
        let arrived = applied.wait_for(|applied| applied.seq() >= seq);
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
        let token = match (values.next(), values.next()) {
            (None, _) => Some(None),
            (Some(value), None) => value.to_str().ok().and_then(ConsistencyToken::decode).map(Some),
            (Some(_), Some(_)) => None,
        };
        ready(token.map(|token| Self { token }).ok_or_else(|| {
            let detail =
                "Consistency-Token must be one value, taken from an answer of user_service";
            Problem::new(ProblemKind::Malformed, detail)
        }))
    }
}
