//! Whether a token is alive, asked on the worker's own thread.

use std::rc::Rc;
use std::sync::Arc;

use contract::Claims;
use shared::clock::Clock;
use shared::tokens::{CachedVerifier, RevokedView, TokenRefused, Verifier};

/// Tells which tokens are alive, on one worker's thread.
pub struct TokenChecker {
    /// Remembers the tokens that it has verified.
    verifier: CachedVerifier,
    /// Asked every time.
    revoked: RevokedView,
    clock: Clock,
}

impl TokenChecker {
    /// A checker with an empty memory.
    pub fn new(verifier: Arc<Verifier>, revoked: RevokedView, clock: Clock) -> Self {
        Self { verifier: CachedVerifier::new(verifier), revoked, clock }
    }

    /// The claims of the token, if it is alive.
    pub(super) fn check(&self, token: &str) -> Result<Rc<Claims>, TokenRejection> {
        let claims = self.verifier.verify(token, self.clock.unix_s())?;
        if self.revoked.contains(&claims) { Err(TokenRejection::Revoked) } else { Ok(claims) }
    }
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenRejection {
    /// The token itself is not valid.
    #[error(transparent)]
    Refused(#[from] TokenRefused),
    /// A logout, a change of password or a deletion has ended it.
    #[error("the token was revoked")]
    Revoked,
}

impl TokenRejection {
    /// The token was signed by us, and may once have been good.
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Revoked | Self::Refused(TokenRefused::OutOfTime))
    }
}
