//! Signing on the HTTP workers' threads: no login waits for another login's signature.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contract::Claims;
use contract::token_record::KeyId;
use shared::actors::{AskError, Mailbox, ask};
use shared::clock::Clock;
use shared::tokens::key_schedule::{Clocks, KeySchedule, Signer};
use shared::tokens::liveness::KeyStanding;
use shared::tokens::token_set_view::TokenSetView;
use shared::tokens::{SigningKey, SigningKeyError};
use tokio::sync::watch;

use super::{CarryOutPlan, KeyRing, KeyRingError};

/// The keys as [`KeyRing`] shows them: what is here is on the disk.
#[derive(Clone)]
pub(super) struct SigningKeys {
    pub(super) schedule: KeySchedule,
    /// The private halves of those that may sign.
    pub(super) private: BTreeMap<KeyId, Arc<SigningKey>>,
}

/// Signs tokens with the key that signs now. Clones share it.
#[derive(Clone)]
pub struct TokenSigner {
    pub(super) keys: watch::Receiver<Arc<SigningKeys>>,
    pub(super) view: TokenSetView,
    pub(super) clock: Clock,
    pub(super) boot_id: [u8; 16],
    /// Asked when no key fits the clocks.
    pub(super) key_ring: Mailbox<KeyRing>,
}

/// A token, and the key that signed it.
pub struct SignedToken {
    /// The JWT.
    pub text: String,
    /// The key.
    pub kid: KeyId,
}

/// There is no token.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// No key may sign yet.
    #[error("no key is ready to sign")]
    NoKey,
    /// The keys cannot be brought to the state that the clocks want.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The actor gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SigningKeyError),
}

impl TokenSigner {
    /// The JWT with these claims, whose `exp` is `TOKEN_LIFETIME` from now or sooner.
    ///
    /// If a clock was set, another key may have to be found first.
    ///
    /// # Errors
    /// See [`SignError`].
    pub async fn sign(&self, claims: &Claims) -> Result<SignedToken, SignError> {
        let mut key = self.present_key();
        if key.is_none() {
            ask(&self.key_ring, CarryOutPlan).await??;
            key = self.present_key();
        }
        let key = key.ok_or(SignError::NoKey)?;
        Ok(SignedToken { text: key.sign(claims)?, kid: key.id() })
    }

    /// Whether a token could be signed now.
    pub fn is_ready(&self) -> bool {
        self.keys.borrow().schedule.signing().is_some()
    }

    /// For how long the key that signs now has signed.
    pub fn signing_for(&self) -> Option<Duration> {
        let since_s = self.keys.borrow().schedule.signing()?.signs_from_s?;
        let age_s = self.clock.unix_s().saturating_sub(since_s).max(0);
        Some(Duration::from_secs(age_s.unsigned_abs()))
    }

    fn present_key(&self) -> Option<Arc<SigningKey>> {
        let keys = self.keys.borrow();
        let clocks = Clocks::read(&self.clock, self.boot_id);
        match keys.schedule.signer(&clocks, |kid| self.view.horizon_s(kid)) {
            // Another replica may have killed it.
            Signer::Key(kid) if self.view.key(&kid) == KeyStanding::Killed => None,
            Signer::Key(kid) => keys.private.get(&kid).cloned(),
            Signer::Raise(..) | Signer::None => None,
        }
    }
}
