//! The sessions that were logged out, as every HTTP worker reads them.

use std::sync::Arc;

use dashmap::DashMap;

/// A view of the revoked sessions that any thread may ask. One actor alone writes to it, after it
/// has made the revocation durable; clones show the same.
#[derive(Clone, Default)]
pub struct RevokedSessions(Arc<DashMap<Arc<str>, ()>>);

impl RevokedSessions {
    /// Whether the session was revoked.
    pub fn contains(&self, sid: &str) -> bool {
        self.0.contains_key(sid)
    }

    /// For the owner: the session is revoked.
    pub fn insert(&self, sid: Arc<str>) {
        self.0.insert(sid, ());
    }

    /// For the owner: every token of the session has expired.
    pub fn forget(&self, sid: &str) {
        self.0.remove(sid);
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
