//! Waiting for the turn: one way at a time moves the projection.

use shared::log_sync::Input;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

use super::super::direct_way::DirectWay;
use super::super::session_error::SessionError;
use super::super::subscriptions::{ASK_INTERVAL_MAX, Arrival, Subscriptions};
use super::{SyncSession, new_follower};

impl SyncSession<'_> {
    /// Waits until this session over the bus may move the projection. While user_service answers
    /// directly, that takes an answer over the bus: subscriptions and heads do not show that
    /// questions arrive, for instance after a crash that the broker's queues did not survive.
    pub(super) async fn take_turn<'turn>(
        &mut self,
        turn: &'turn Mutex<()>,
        subscriptions: &mut Subscriptions,
    ) -> Result<MutexGuard<'turn, ()>, SessionError> {
        let direct = self.with.direct.as_ref();
        loop {
            let mut is_answered = false;
            if let Some(direct) = direct.filter(|direct| direct.is_in_use()) {
                is_answered = tokio::select! {
                    answered = self.until_answered(subscriptions) => answered.map(|()| true)?,
                    () = direct.until_unused() => false,
                };
            }
            let taken = turn.lock().await;
            if is_answered || !direct.is_some_and(DirectWay::is_in_use) {
                return Ok(taken);
            }
        }
    }

    /// Asks over the bus until an answer comes. The answer is not used: by the time of its turn, the
    /// projection has moved.
    async fn until_answered(
        &mut self,
        subscriptions: &mut Subscriptions,
    ) -> Result<(), SessionError> {
        loop {
            self.follower = new_follower(self.with, &self.control_queue);
            self.take(Input::Connected).await?;
            let repeat_at = Instant::now() + ASK_INTERVAL_MAX;
            while let Ok(delivery) = timeout_at(repeat_at, subscriptions.next_control()).await {
                let input = self.read(&Arrival::Control(delivery?));
                subscriptions.note_read(std::mem::take(&mut self.has_heard))?;
                let nonce = match input {
                    Some(Input::Continue(answer)) => answer.nonce,
                    Some(Input::SnapshotPart(part)) => part.nonce,
                    _ => continue,
                };
                if self.follower.awaited_nonce() == Some(&nonce) {
                    return Ok(());
                }
            }
        }
    }
}
