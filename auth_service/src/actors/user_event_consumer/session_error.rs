//! Why the consumer goes back to the stored cursor.

use std::error::Error;

use shared::bus::BusError;
use shared::bus::direct::DirectError;

use crate::store::ApplyError;

/// Why effects were not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// A record fits and cannot be applied.
    #[error("record {seq} cannot be applied: {reason}")]
    Unappliable { seq: i64, reason: String },
    /// The bus failed or ended.
    #[error("no connection to the bus")]
    Bus(#[from] BusError),
    /// Neither heads nor answers for a while. Either user_service is down, or somebody has deleted
    /// the exchange or a binding: only declaring all of it anew tells.
    #[error("user_service is silent")]
    Silent,
    /// user_service gave no answer directly.
    #[error("cannot ask user_service directly")]
    Direct(#[from] DirectError),
    /// An actor failed, for instance because the disk is full.
    #[error("the projection cannot be written")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl SessionError {
    pub(super) fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ApplyError> for SessionError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Unappliable { seq, reason } => Self::Unappliable { seq, reason },
            ApplyError::Store(error) => Self::failed(error),
        }
    }
}
