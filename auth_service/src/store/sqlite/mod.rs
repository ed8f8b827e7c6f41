//! SQLite: the statements of both databases.

pub(super) mod projection;
pub(super) mod staging;
pub(super) mod tokens;

use std::sync::Arc;

use shared::sqlite::OpenError;

use super::{RevokeRefused, StoreError};

impl From<shared::sqlite::StoreError> for StoreError {
    fn from(error: shared::sqlite::StoreError) -> Self {
        match error {
            shared::sqlite::StoreError::Full(source) => Self::Full(source),
            shared::sqlite::StoreError::Failed(source) => Self::Failed(source),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        shared::sqlite::StoreError::from(error).into()
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        let is_full = error.is_full_disk();
        let source = Arc::new(error);
        if is_full { Self::Full(source) } else { Self::Failed(source) }
    }
}

/// A group whose commit failed.
impl From<shared::sqlite::StoreError> for RevokeRefused {
    fn from(error: shared::sqlite::StoreError) -> Self {
        Self::Store(error.into())
    }
}
