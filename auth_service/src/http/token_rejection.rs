//! Why a token is not accepted.

use shared::tokens::liveness::{DeadReason, Doubt, Verdict};

use crate::store::StoreError;

/// Why a token is not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum TokenRejection {
    /// It was not signed by us for our users.
    #[error("not a token of this service")]
    NotOurs,
    /// It is dead for good.
    #[error(transparent)]
    Dead(DeadReason),
    /// Nobody can tell at this moment.
    #[error(transparent)]
    Unknown(Doubt),
    /// The projection cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Verdict> for TokenRejection {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Dead(reason) => Self::Dead(reason),
            Verdict::Unknown(doubt) => Self::Unknown(doubt),
            // Nobody rejects it.
            Verdict::Alive => Self::Unknown(Doubt::AwaitsProof),
        }
    }
}

impl TokenRejection {
    /// The token was signed by us, and may once have been good.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Dead(reason) if *reason != DeadReason::UnknownKey)
    }
}
