//! Ending a session here, and waiting until the bus has taken that over for the other replicas.

use std::time::Duration;

use contract::TokenRecord;
use shared::actors::{Mailbox, ask};
use shared::http::{Problem, ProblemKind};
use shared::idempotency::IdempotentRequest;
use shared::tokens::VerifiedToken;
use tokio::time::timeout;

use crate::actors::{AwaitConfirmation, Replicas, RevokeSession, TokenRevocations};
use crate::metrics::ExchangeMetrics;
use crate::store::RevokeRefused;

/// How long the confirm of the bus is waited for.
const CONFIRM_WAIT: Duration = Duration::from_secs(1);

/// Ends sessions.
pub struct Sessions {
    /// The owner of the token set.
    pub revocations: Mailbox<TokenRevocations>,
    /// Whether the bus can be expected to confirm.
    pub replicas: Replicas,
    /// `LOGOUT_ACKS`: how many confirms a logout needs to be answered with 200.
    pub acks: u8,
    /// Counts logouts without one.
    pub metrics: ExchangeMetrics,
}

impl Sessions {
    /// Ends the session of this token. When this returns, it has ended here, for good; elsewhere it
    /// has if the bus has confirmed it, and if it has not, nobody is refused for that unless
    /// `LOGOUT_ACKS` says so.
    pub(super) async fn end(
        &self,
        token: &VerifiedToken,
        request: Option<IdempotentRequest>,
    ) -> Result<(), Problem> {
        ask(&self.revocations, RevokeSession::of(token, request)).await??;
        self.await_others(token).await
    }

    /// The same for a session that may have ended already.
    pub(super) async fn end_or_find_ended(&self, token: &VerifiedToken) -> Result<(), Problem> {
        match ask(&self.revocations, RevokeSession::of(token, None)).await? {
            // Another request was faster.
            Ok(()) | Err(RevokeRefused::AlreadyDead) => self.await_others(token).await,
            Err(refused) => Err(refused.into()),
        }
    }

    /// The session of this token was ended with it: waits for the others to get that.
    pub(super) async fn await_others(&self, token: &VerifiedToken) -> Result<(), Problem> {
        let RevokeSession { sid, ended_with, .. } = RevokeSession::of(token, None);
        let record = TokenRecord::SessionRevoked { sid, ended_with };
        if self.is_confirmed(record).await {
            return Ok(());
        }
        self.metrics.unconfirmed_logouts.inc();
        if self.acks == 0 {
            return Ok(());
        }
        let detail = "the session has ended here, and the other replicas do not know it yet";
        Err(Problem::new(ProblemKind::LogoutNotConfirmed, detail))
    }

    /// Whether the bus confirms this record of the set, within a second.
    pub(super) async fn is_confirmed(&self, record: TokenRecord) -> bool {
        if !self.replicas.is_connected() {
            return false;
        }
        let confirming = ask(&self.revocations, AwaitConfirmation(record));
        matches!(timeout(CONFIRM_WAIT, confirming).await, Ok(Ok(())))
    }
}
