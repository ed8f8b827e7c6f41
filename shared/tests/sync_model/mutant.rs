//! Mutations of the protocol, made where messages pass so that the code under test stays whole.

use contract::{Cursor, EventKind, RecordHash};
use shared::log_sync::{Follower, ReceivedContinue, ReceivedRecord, record_hash};

use crate::world::name_of;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A restart keeps the incarnation.
    IncarnationNotRenewed,
    /// Answers to any question are taken for answers to the present one.
    NoNonce,
    /// A `Continue` is taken wherever the follower stands.
    ContinueNotBound,
    /// Neither side compares hashes.
    HashNotChecked,
}

impl Mutant {
    /// Makes a record fit wherever its number does.
    pub(crate) fn forge_hash(
        mutant: Option<Self>,
        mut record: ReceivedRecord,
        at: Cursor,
    ) -> ReceivedRecord {
        if mutant == Some(Self::HashNotChecked) {
            record.prev_hash = at.position.hash;
            let (seq, kind) = (record.position.seq, EventKind::UPDATED);
            record.position.hash = record_hash(record.prev_hash, seq, &kind, 0, name_of(&record));
        }
        record
    }

    /// The hash that the log is said to have where the follower stands.
    pub(crate) fn forge_hash_there(
        mutant: Option<Self>,
        there: Option<RecordHash>,
        at: Cursor,
    ) -> Option<RecordHash> {
        let forged = mutant == Some(Self::HashNotChecked) && there.is_some();
        if forged { Some(at.position.hash) } else { there }
    }

    /// Makes an answer that of the present question.
    pub(crate) fn forge_nonce(mutant: Option<Self>, nonce: &mut String, follower: &Follower) {
        if let (Some(Self::NoNonce), Some(awaited)) = (mutant, follower.awaited_nonce()) {
            awaited.clone_into(nonce);
        }
    }

    /// Makes an answer fit wherever the follower stands.
    pub(crate) fn forge_continue(
        mutant: Option<Self>,
        mut answer: ReceivedContinue,
        follower: &Follower,
    ) -> ReceivedContinue {
        Self::forge_nonce(mutant, &mut answer.nonce, follower);
        if mutant == Some(Self::ContinueNotBound) {
            answer.at = follower.cursor();
        }
        let mut cursor = answer.at;
        for record in &mut answer.records {
            *record = Self::forge_hash(mutant, record.clone(), cursor);
            cursor.position = record.position;
        }
        answer
    }
}
