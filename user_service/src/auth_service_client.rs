//! Asks auth_service whether tokens are alive.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contract::{TokenQuestion, TokenVerdict};
use data_encoding::HEXLOWER;
use shared::bus::cloud_event::{Codec, Undecodable};
use shared::bus::direct::{DirectClient, DirectError, DirectUrl, TOKENS_PATH};
use shared::secrets::random_bytes;
use tokio::time::timeout;

/// How long a request waits for the answer.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Where auth_service is. In one process it is known only after auth_service has started, which is
/// later than user_service. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct AuthServiceAddress(Arc<OnceLock<DirectUrl>>);

impl AuthServiceAddress {
    /// Tells the address. Only the first call counts.
    pub fn set(&self, url: DirectUrl) {
        // It is the same then.
        let _ = self.0.set(url);
    }

    /// The address, if it is known.
    pub(crate) fn get(&self) -> Option<&DirectUrl> {
        self.0.get()
    }
}

impl From<Option<DirectUrl>> for AuthServiceAddress {
    fn from(url: Option<DirectUrl>) -> Self {
        let address = Self::default();
        if let Some(url) = url {
            address.set(url);
        }
        address
    }
}

/// The question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoVerdict {
    /// No address is known.
    #[error("AUTH_SERVICE_URL is not set")]
    NoAddress,
    /// auth_service cannot be asked.
    #[error("auth_service cannot be asked")]
    Unreachable(#[from] DirectError),
    /// It did not answer in time.
    #[error("auth_service did not answer within {WAIT_MAX:?}")]
    TimedOut,
    /// The answer is not genuine.
    #[error("the answer of auth_service cannot be used")]
    Unusable(#[from] Undecodable),
    /// The answer is that to another question.
    #[error("auth_service answered another question")]
    OtherQuestion,
}

/// Asks auth_service.
#[derive(Clone)]
pub(crate) struct AuthServiceClient {
    pub(crate) address: AuthServiceAddress,
    pub(crate) codec: Codec,
}

impl AuthServiceClient {
    /// What auth_service knows of the token.
    pub(crate) async fn judge(&self, token: &str) -> Result<TokenVerdict, NoVerdict> {
        let url = self.address.get().ok_or(NoVerdict::NoAddress)?.clone();
        let nonce = HEXLOWER.encode(&random_bytes::<16>());
        let question = TokenQuestion { nonce: nonce.clone(), token: token.to_owned() };
        let client = DirectClient::new(url, TOKENS_PATH);
        let asking = client.ask(self.codec.encode_token_question(&question));
        let answers = timeout(WAIT_MAX, asking).await.map_err(|_| NoVerdict::TimedOut)??;
        let answer = answers.first().ok_or(NoVerdict::OtherQuestion)?;
        let answer = self.codec.decode_token_answer(answer)?;
        if answer.nonce == nonce { Ok(answer.verdict) } else { Err(NoVerdict::OtherQuestion) }
    }
}
