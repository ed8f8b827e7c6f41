//! The `healthcheck` subcommand: asks the running service, for container engines.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::local_address;

/// How long the service may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The service is not well.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// Nobody answered.
    #[error("{url} does not answer: {reason}")]
    NoAnswer {
        /// What was asked.
        url: String,
        /// What came of it.
        reason: String,
    },
    /// It answered that it is not ready.
    #[error("{url} answers {status}: {body}")]
    NotReady {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The reasons.
        body: String,
    },
}

/// Asks `/readyz` of the service that listens on `listen` on this machine.
///
/// # Errors
/// See [`HealthcheckError`].
pub async fn healthcheck(listen: SocketAddr) -> Result<(), HealthcheckError> {
    let url = format!("http://{}/readyz", local_address(listen));
    let no_answer = |reason: String| HealthcheckError::NoAnswer { url: url.clone(), reason };
    let client = awc::Client::builder().timeout(TIMEOUT).finish();
    let mut response =
        client.get(&url).send().await.map_err(|error| no_answer(error.to_string()))?;
    if response.status().is_success() {
        return Ok(());
    }
    let status = response.status().as_u16();
    let body = response.body().await.map_err(|error| no_answer(error.to_string()))?;
    Err(HealthcheckError::NotReady { url, status, body: String::from_utf8_lossy(&body).into() })
}
