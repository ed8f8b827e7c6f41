//! Where the replicas are, and what clients must know of their disks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::journal::{Session, Token};
use crate::random::Random;

pub(crate) const REPLICAS: usize = 3;
/// It answers a logout with 200 although the bus has not confirmed it (`LOGOUT_ACKS=0`, the
/// default); the others answer 503 then.
pub(crate) const HASTY: usize = 2;

/// What clients and faults share.
pub(crate) struct Sites {
    pub(crate) users: SocketAddr,
    pub(crate) auth: [SocketAddr; REPLICAS],
    /// How often each replica's `tokens.db` was put back: it kills its keys of before.
    restores: [AtomicU64; REPLICAS],
}

impl Sites {
    pub(crate) fn new(users: SocketAddr, auth: [SocketAddr; REPLICAS]) -> Self {
        Self { users, auth, restores: Default::default() }
    }

    /// A replica at random.
    pub(crate) fn pick(&self, random: &mut Random) -> (usize, SocketAddr) {
        let replica = random.below(REPLICAS);
        (replica, self.auth[replica])
    }

    /// To be said before the file is put back.
    pub(crate) fn is_put_back(&self, replica: usize) {
        self.restores[replica].fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn restores(&self, replica: usize) -> u64 {
        self.restores[replica].load(Ordering::SeqCst)
    }

    /// Whether all keys of the session's tokens are expected to be alive.
    pub(crate) fn must_live(&self, session: &Session) -> bool {
        let is_of_now = |token: &Token| token.restores == self.restores(token.replica);
        session.tokens.iter().all(is_of_now)
    }
}
