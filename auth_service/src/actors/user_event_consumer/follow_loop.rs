//! Following for ever: one session after the other, each from the stored cursor.

use std::future::pending;
use std::sync::Arc;

use shared::actors::{Health, Mailbox, supervise};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, DeadLetters};
use tokio::sync::watch;

use super::progress::Progress;
use super::repair_pacing::RepairPacing;
use super::session_error::SessionError;
use super::sync_session::SyncSession;
use crate::actors::credential_repository::{Applied, CredentialRepository};
use crate::actors::revocations::{Revocations, RevokeInMemory};
use crate::metrics::FollowingMetrics;

/// Everything that the loop works with.
pub struct FollowLoop {
    /// Where deliveries come from and questions go to.
    pub bus: Arc<dyn Bus>,
    /// Reads and writes messages.
    pub codec: Codec,
    /// Takes what is to be applied.
    pub repository: Mailbox<CredentialRepository>,
    /// What the repository has stored.
    pub applied: watch::Receiver<Applied>,
    /// Takes whose tokens are revoked, before the projection moves.
    pub revocations: Mailbox<Revocations>,
    /// Revokes them at once, whatever the disk says.
    pub revoke: RevokeInMemory,
    /// Names the queues.
    pub replica: String,
    /// Keeps copies of messages that cannot be used.
    pub dead_letters: DeadLetters,
    /// Told how it goes.
    pub progress: watch::Sender<Progress>,
    /// Told of everything.
    pub metrics: FollowingMetrics,
    /// Shows failures of the loop.
    pub health: Health,
}

impl FollowLoop {
    /// Follows for ever: after each failure again from the stored cursor.
    pub(super) async fn run(self) {
        let mut pacing = RepairPacing::default();
        let run = async || self.follow(&mut pacing).await;
        supervise(&self.health, "following the log of user_service", pending(), run).await;
    }

    /// Ends with what went wrong. That user_service is silent is nothing to warn of: it may be down.
    async fn follow(&self, pacing: &mut RepairPacing) -> Result<(), SessionError> {
        let mut is_quiet = false;
        loop {
            match SyncSession::new(self, pacing, is_quiet).follow().await {
                SessionError::Silent => is_quiet = true,
                other => return Err(other),
            }
        }
    }
}
