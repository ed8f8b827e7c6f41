//! Mutations of the protocol, made where messages pass so that the code under test stays whole.

use contract::{Continue, Cursor, LogRecord, RecordHash};
use shared::log_sync::{Follower, extend};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A restart keeps the incarnation.
    IncarnationNotRenewed,
    /// Answers to any question are taken for answers to the present one.
    NoNonce,
    /// A `Continue` is taken wherever the follower stands.
    ContinueNotBound,
    /// Neither side compares chains.
    ChainNotChecked,
}

impl Mutant {
    /// Makes a record fit wherever its number does.
    pub(crate) fn forge_chain(mutant: Option<Self>, record: LogRecord, at: Cursor) -> LogRecord {
        if mutant != Some(Self::ChainNotChecked) {
            return record;
        }
        let chain = extend(at.chain, record.seq, record.kind, 0, &record.data);
        LogRecord { previous: at.chain, chain, ..record }
    }

    /// The chain that the log is said to have where the follower stands.
    pub(crate) fn forge_chain_there(
        mutant: Option<Self>,
        there: Option<RecordHash>,
        at: Cursor,
    ) -> Option<RecordHash> {
        let forged = mutant == Some(Self::ChainNotChecked) && there.is_some();
        if forged { Some(at.chain) } else { there }
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
        mut answer: Continue,
        follower: &Follower,
    ) -> Continue {
        Self::forge_nonce(mutant, &mut answer.nonce, follower);
        if mutant == Some(Self::ContinueNotBound) {
            answer.at = follower.cursor();
        }
        let mut cursor = answer.at;
        for record in &mut answer.records {
            *record = Self::forge_chain(mutant, record.clone(), cursor);
            cursor = Cursor { seq: record.seq, chain: record.chain, ..cursor };
        }
        answer
    }
}
