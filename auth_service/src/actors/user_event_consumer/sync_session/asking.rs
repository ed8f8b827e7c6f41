//! When questions are asked, and how they are sent.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use contract::SyncRequest;
use shared::log_sync::{AskReason, Input};
use shared::tokens::token_set::BootTime;
use tokio::time::Instant;

use super::super::session_error::SessionError;
use super::super::subscriptions::ASK_INTERVAL_MAX;
use super::SyncSession;

/// A question is asked so long after the last answer: only an answer proves that the projection is up
/// to date, and it holds for [`FRESH_FOR_MS`](shared::tokens::liveness::FRESH_FOR_MS). What else comes
/// may be old, and sent again by somebody who can write to the broker.
pub(super) const PROOF_INTERVAL: Duration = Duration::from_secs(1);

/// How questions are asked.
pub(super) enum Asking {
    Bus,
    /// One after the other: these are next.
    Directly(VecDeque<SyncRequest>),
}

/// A question that was sent.
pub(super) struct Sent {
    pub(super) nonce: String,
    /// When it was sent for the first time.
    pub(super) at: BootTime,
}

/// A question that is put off.
pub(super) struct Deferred {
    pub(super) due: Instant,
    request: SyncRequest,
    reason: AskReason,
}

impl SyncSession<'_> {
    /// Asks if the last answer was long ago, or if somebody waits for a later one.
    pub(super) async fn ask_for_proof(&mut self) -> Result<(), SessionError> {
        let is_due = self.is_proof_wanted || self.answered_at.elapsed() >= PROOF_INTERVAL;
        if is_due && self.may_ask_for_proof() {
            self.is_proof_wanted = false;
            return self.take(Input::Due).await;
        }
        Ok(())
    }

    /// No question is open, and its answer could be applied.
    pub(super) fn may_ask_for_proof(&self) -> bool {
        self.follower.awaited_nonce().is_none() && self.resume_at.is_none()
    }

    /// Sends the question now, or puts it off if the same cause came up a moment ago. A snapshot that
    /// was put off stays so, whatever else comes up. Records are never put off for longer than a
    /// question is due anyway.
    pub(super) fn ask(&mut self, request: SyncRequest, reason: AskReason) {
        if reason == AskReason::Unanswered {
            self.ask_interval = (self.ask_interval * 2).min(ASK_INTERVAL_MAX);
        }
        let now = Instant::now();
        let due = match reason {
            AskReason::Incarnation
            | AskReason::Gap
            | AskReason::RecordHash
            | AskReason::LostTail
            | AskReason::Unappliable => {
                let due = self.pacing.due(reason, request.cursor.position, now);
                if request.snapshot { due } else { due.min(now + PROOF_INTERVAL) }
            }
            // These have waited already, or go on with what was let through.
            _ => now,
        };
        if let Some(deferred) = &mut self.deferred {
            if !request.snapshot && due < deferred.due {
                (deferred.due, deferred.reason) = (due, reason);
            }
            deferred.request = request;
        } else if due <= now {
            self.send(request, reason);
        } else {
            self.deferred = Some(Deferred { due, request, reason });
        }
    }

    /// Sends what was put off until now.
    pub(super) fn send_what_is_due(&mut self) {
        let now = Instant::now();
        if let Some(Deferred { request, reason, .. }) = self.deferred.take_if(|d| d.due <= now) {
            self.send(request, reason);
        }
    }

    /// Not waited for: a bus that hangs must not hold up what has arrived. If the question is
    /// lost, `Waited` repeats it.
    fn send(&mut self, request: SyncRequest, reason: AskReason) {
        let highest_id = self.with.applied.borrow().highest_id;
        let request = SyncRequest { highest_id, ..request };
        if self.sent.as_ref().is_none_or(|sent| sent.nonce != request.nonce) {
            self.sent = Some(Sent { nonce: request.nonce.clone(), at: self.with.fresh.now() });
        }
        let reason = reason.as_str();
        self.with.metrics.count_repair(reason);
        tracing::debug!(reason, seq = request.cursor.position.seq, "asking user_service");
        if let Asking::Directly(questions) = &mut self.asking {
            questions.push_back(request);
            return;
        }
        let (question, bus) =
            (self.with.codec.encode_question(&request), Arc::clone(&self.with.bus));
        actix::spawn(async move {
            if let Err(error) = bus.publish(vec![question]).await {
                tracing::debug!(error = &error as &dyn Error, "a question was not sent");
            }
        });
    }
}
