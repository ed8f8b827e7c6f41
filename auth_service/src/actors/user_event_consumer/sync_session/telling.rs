//! What records and answers tell the workers: which stamps have ended, and how fresh the projection is.

use contract::{Cursor, Incarnation};
use shared::log_sync::{Input, ReceivedRecord};

use super::super::proofs::Proof;
use super::SyncSession;

/// A part of the awaited answer; the last one makes it a proof. Parts before that must not make the
/// session impatient: it would ask for a slow snapshot anew without end.
#[derive(Clone, Copy)]
pub(super) struct Answer(pub(super) Option<Proof>);

impl SyncSession<'_> {
    /// A genuine record that deletes or sets a password counts at once, whatever its order and
    /// whatever the disk says. What was applied before counts by the projection.
    pub(super) fn note_ends<'r>(
        &self,
        incarnation: Incarnation,
        records: impl IntoIterator<Item = &'r ReceivedRecord>,
    ) {
        let applied = self.with.applied.borrow().cursor.unwrap_or_default();
        let is_applied = |record: &ReceivedRecord| {
            applied.incarnation == incarnation && record.position.seq <= applied.position.seq
        };
        for record in records.into_iter().filter(|record| !is_applied(record)) {
            self.with.ended.note(incarnation, record);
        }
    }

    /// An answer has shown which incarnation vouches for the log, and the projection follows it.
    pub(super) fn drop_undone_ends(&self, vouches: Option<Incarnation>) {
        let cursor = self.with.applied.borrow().cursor;
        if let Some(Cursor { incarnation, position }) = cursor
            && vouches == Some(incarnation)
        {
            self.with.ended.keep_only(incarnation, position);
        }
    }

    /// What of the awaited answer this is. Late answers to earlier questions are none of it.
    pub(super) fn answer_in(&self, input: &Input) -> Option<Answer> {
        let (nonce, incarnation, log_end_seq, is_whole) = match input {
            Input::Continue(answer) => (&answer.nonce, answer.incarnation, answer.head_seq, true),
            Input::SnapshotPart(part) => {
                let Cursor { incarnation, position } = part.as_of;
                (&part.nonce, incarnation, position.seq, part.part == part.parts)
            }
            _ => return None,
        };
        let is_awaited = self.follower.awaited_nonce() == Some(nonce);
        let sent = self.sent.as_ref().filter(|sent| is_awaited && sent.nonce == *nonce)?;
        let proof = Proof { asked_at: sent.at, incarnation, log_end_seq };
        Some(Answer(is_whole.then_some(proof)))
    }

    /// What it said was carried out.
    pub(super) fn note_answer(&mut self, is_answered: bool, whole: Option<Proof>) {
        if is_answered {
            self.with.fresh.note_answer();
        }
        if let Some(proof) = whole {
            self.proofs.hear(proof);
        }
    }

    /// Shows the workers what the projection has proved by now.
    pub(super) fn show_proofs(&mut self) {
        let applied = self.with.applied.borrow().cursor;
        let proof = applied.and_then(|applied| self.proofs.take_reached(applied));
        if let Some(proof) = proof {
            self.with.fresh.prove(proof);
        }
    }
}
