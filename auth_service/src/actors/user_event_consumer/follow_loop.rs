//! Following for ever: one session after the other, each from the stored cursor. While nothing comes
//! through the bus, user_service is asked directly.

use std::future::pending;
use std::sync::Arc;

use shared::actors::{Health, Mailbox, supervise};
use shared::bus::cloud_event::Codec;
use shared::bus::{Bus, DeadLetters};
use shared::tokens::EndedStamps;
use shared::traces::Traces;
use tokio::sync::{Mutex, watch};

use super::direct_way::DirectWay;
use super::progress::Progress;
use super::repair_pacing::RepairPacing;
use super::session_error::SessionError;
use super::sync_session::{SyncSession, random_word};
use super::users_freshness::UsersFreshness;
use super::vigil::keep_vigil;
use crate::actors::applied::Applied;
use crate::actors::credential_repository::CredentialRepository;
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
    /// Told what ends tokens, at once and whatever the disk says.
    pub ended: EndedStamps,
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
    /// The other way to user_service, if there is one.
    pub direct: Option<DirectWay>,
    /// Told what answers prove, and asked for more by those who wait.
    pub fresh: UsersFreshness,
    /// Where the spans of events go.
    pub traces: Traces,
}

impl FollowLoop {
    /// Follows for ever, over the bus and directly: after each failure again from the stored cursor.
    pub(super) async fn run(self) {
        let [mut pacing, mut direct_pacing] = [(); 2].map(|()| RepairPacing::default());
        // Whichever way has it moves the projection.
        let turn = Mutex::new(());
        // A new one after each session: the broker may believe for a while that the last one's
        // consumer is alive. Not after each try, or each would fail for a cause with another name.
        let mut word = random_word();
        let run = async || self.follow(&turn, &mut pacing, &mut word).await;
        let following =
            supervise(&self.health, "following the log of user_service", pending(), run);
        let run = async || self.follow_directly(&turn, &mut direct_pacing).await;
        let directly = supervise(&self.health, "asking user_service directly", pending(), run);
        tokio::join!(following, directly, keep_vigil(&self.fresh));
    }

    /// Ends with what went wrong. That user_service is silent is nothing to warn of: it may be down.
    async fn follow(
        &self,
        turn: &Mutex<()>,
        pacing: &mut RepairPacing,
        word: &mut String,
    ) -> Result<(), SessionError> {
        let mut is_quiet = false;
        loop {
            let mut session = SyncSession::new(self, pacing, word, is_quiet);
            let ended = session.follow(turn).await;
            if session.has_opened() {
                *word = random_word();
            }
            match ended {
                SessionError::Silent => is_quiet = true,
                other => return Err(other),
            }
        }
    }

    /// Asks once a second, or when somebody wants it, while no session over the bus has the turn.
    async fn follow_directly(
        &self,
        turn: &Mutex<()>,
        pacing: &mut RepairPacing,
    ) -> Result<(), SessionError> {
        let Some(direct) = &self.direct else { return Ok(()) };
        let mut session = SyncSession::direct(self, pacing);
        loop {
            direct.due().await;
            let _turn = turn.lock().await;
            direct.begin();
            let outcome = session.ask_directly(&direct.client).await;
            self.metrics.count_direct(outcome.is_ok());
            direct.end(outcome.is_ok());
            outcome?;
        }
    }
}
