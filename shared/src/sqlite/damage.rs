//! Whether a database was found damaged while it was used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::is_damaged;
use crate::store_error::StoreError;

/// Whether one of the connections to a database has found it damaged. Clones know the same. Trying
/// again does not help, so once it is found it stays so.
#[derive(Clone, Debug, Default)]
pub struct Damage(Arc<AtomicBool>);

impl Damage {
    /// Passes on the outcome of a read or write, after it was looked at.
    ///
    /// # Errors
    /// The outcome's own.
    pub fn note<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        outcome.inspect_err(|error| self.look_at(error))
    }

    /// Looks at an error.
    pub fn look_at(&self, error: &StoreError) {
        if is_damaged(error) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it is damaged.
    pub fn is_found(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
