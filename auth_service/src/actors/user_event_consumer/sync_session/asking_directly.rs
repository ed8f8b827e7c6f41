//! A session that asks user_service directly, one question after the other.

use std::collections::VecDeque;

use contract::SyncRequest;
use shared::bus::direct::DirectClient;
use shared::log_sync::Input;
use tokio::time::Instant;

use super::super::follow_loop::FollowLoop;
use super::super::repair_pacing::RepairPacing;
use super::super::session_error::SessionError;
use super::super::subscriptions::Arrival;
use super::asking::Asking;
use super::{SyncSession, new_follower, random_word};

impl<'a> SyncSession<'a> {
    /// A session that asks directly.
    pub(in super::super) fn direct(with: &'a FollowLoop, pacing: &'a mut RepairPacing) -> Self {
        Self::of(with, pacing, &random_word(), Asking::Directly(VecDeque::new()), true)
    }

    /// Asks what comes after the projection, until all of it is applied.
    pub(in super::super) async fn ask_directly(
        &mut self,
        client: &DirectClient,
    ) -> Result<(), SessionError> {
        if self.resume_at.is_some_and(|at| at > Instant::now()) {
            return Ok(());
        }
        self.resume_at = None;
        let asked_at = std::time::Instant::now();
        self.follower = new_follower(self.with, &self.control_queue);
        self.deferred = None;
        self.take(Input::Due).await?;
        while let Some(request) = self.next_question() {
            let answers = client.ask(self.with.codec.encode_question(&request)).await?;
            self.take_all(answers.into_iter().map(Arrival::Control).collect()).await?;
        }
        let is_caught_up = self.follower.awaited_nonce().is_none() && self.resume_at.is_none();
        self.with.progress.send_if_modified(|progress| {
            if is_caught_up {
                progress.caught_up_at = asked_at;
            }
            is_caught_up
        });
        Ok(())
    }

    fn next_question(&mut self) -> Option<SyncRequest> {
        match &mut self.asking {
            Asking::Bus => None,
            Asking::Directly(questions) => questions.pop_front(),
        }
    }
}
