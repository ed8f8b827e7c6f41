//! The keys of this replica, and how an action of their schedule is carried out: the disk first, then
//! what workers see.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::token_record::{KeyId, PublishedKey};
use shared::actors::{AskError, Mailbox, ask};
use shared::clock::Clock;
use shared::tokens::key_schedule::{
    Clocks, KeyAction, KeyReason, KeyRules, KeySchedule, OwnKey, RESTATE_S, Signer, Stage,
};
use shared::tokens::liveness::KeyStanding;
use shared::tokens::token_set::{BootTime, KEY_STATEMENT_S};
use shared::tokens::token_set_view::TokenSetView;
use shared::tokens::{SigningKey, SigningKeyError, VerifyingKeyError, public_bytes};
use tokio::sync::watch;

use super::private_files;
use super::signer::SigningKeys;
use crate::actors::token_revocations::KeepKeys;
use crate::actors::{Replicas, TokenRevocations};
use crate::store::{KeyStatement, StoreError};

/// A plan is empty after fewer rounds, unless a clock is being set.
const ROUNDS_MAX: usize = 8;

/// The keys could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// A private key's file cannot be used.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// A private key's file cannot be deleted.
    #[error("cannot delete the private key {kid}")]
    Delete {
        /// The key.
        kid: KeyId,
        /// The cause.
        source: io::Error,
    },
    /// The new key cannot be published.
    #[error("cannot publish a new key")]
    Publish(#[from] VerifyingKeyError),
    /// The token set gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The token set cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such key.
    #[error("no key is named {0}")]
    NoSuchKey(KeyId),
}

/// The keys that were stored, with those private halves that are there.
pub struct StoredKeys {
    own: Vec<OwnKey>,
    private: BTreeMap<KeyId, Arc<SigningKey>>,
}

impl StoredKeys {
    /// Reads the private keys of `own`, and deletes all others.
    ///
    /// # Errors
    /// A file contains something else.
    pub fn open(directory: &Path, own: Vec<OwnKey>) -> Result<Self, SigningKeyError> {
        let mut private = BTreeMap::new();
        for key in own.iter().filter(|key| may_sign(key)) {
            if let Some(loaded) = private_files::load(directory, &key.kid)? {
                private.insert(key.kid, loaded);
            }
        }
        let named: Vec<KeyId> = private.keys().copied().collect();
        if let Err(error) = private_files::delete_others(directory, &named) {
            let error = &error as &dyn Error;
            tracing::warn!(error, "private keys that sign nothing cannot be deleted");
        }
        Ok(Self { own, private })
    }

    /// As the schedule begins with them.
    fn into_keys(self, rules: KeyRules, now: BootTime) -> SigningKeys {
        let Self { mut own, private } = self;
        // What has lost its private half signs no more.
        own.retain(|key| key.stage != Stage::Next || private.contains_key(&key.kid));
        for key in &mut own {
            if !private.contains_key(&key.kid) {
                key.stage = Stage::Retired(now);
            }
            // Nobody knows when it was stated last: it is stated again at once.
            key.stated_at = BootTime(now.0.saturating_sub(RESTATE_S * 1000));
        }
        SigningKeys { schedule: KeySchedule::new(rules, own), private }
    }
}

fn may_sign(key: &OwnKey) -> bool {
    matches!(key.stage, Stage::Next | Stage::Signing)
}

/// What the keys depend on.
pub struct KeyRingConfig {
    /// The settings.
    pub rules: KeyRules,
    /// Where private keys are.
    pub directory: PathBuf,
    /// Tells the time.
    pub clock: Clock,
    /// Names this start of the machine.
    pub boot_id: [u8; 16],
}

/// See the module.
pub(super) struct Ring {
    with: KeyRingConfig,
    /// Read by the workers; this is the only one that changes it.
    keys: watch::Sender<Arc<SigningKeys>>,
    view: TokenSetView,
    revocations: Mailbox<TokenRevocations>,
    /// Tells whether a new key is known everywhere.
    replicas: Replicas,
}

impl Ring {
    pub(super) fn new(
        stored: StoredKeys,
        with: KeyRingConfig,
        view: TokenSetView,
        (revocations, replicas): (Mailbox<TokenRevocations>, Replicas),
    ) -> Self {
        let keys = stored.into_keys(with.rules, BootTime(with.clock.boot_ms()));
        Self { with, keys: watch::Sender::new(Arc::new(keys)), view, revocations, replicas }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<SigningKeys>> {
        self.keys.subscribe()
    }

    /// Does what the schedule wants now.
    pub(super) async fn carry_out_plan(&mut self) -> Result<(), KeyRingError> {
        self.give_up_killed().await?;
        for _ in 0..ROUNDS_MAX {
            let clocks = self.clocks();
            let horizon_of = |kid: &KeyId| self.view.horizon_s(kid);
            let schedule = self.schedule();
            let is_everywhere = |kid: &KeyId| self.replicas.is_everywhere(kid, clocks.boot);
            let actions = schedule.plan(&clocks, horizon_of, is_everywhere);
            if actions.is_empty() {
                break;
            }
            for action in actions {
                self.carry_out(action, &clocks).await?;
            }
        }
        self.raise_ceiling().await?;
        self.delete_what_signs_no_more()
    }

    /// The next key signs as soon as it may. Returns the key that signs then.
    pub(super) async fn rotate(&mut self) -> Result<Option<KeyId>, KeyRingError> {
        self.show(|keys| keys.schedule.command_rotation());
        self.carry_out_plan().await?;
        Ok(self.keys.borrow().schedule.signing().map(|key| key.kid))
    }

    /// Kills a key: every token that it signed is dead, and its private half is gone.
    pub(super) async fn kill(&mut self, kid: KeyId) -> Result<(), KeyRingError> {
        let schedule = self.schedule();
        let is_own = schedule.own().iter().any(|key| key.kid == kid);
        if !is_own && self.view.key(&kid) == KeyStanding::Unknown {
            return Err(KeyRingError::NoSuchKey(kid));
        }
        if schedule.signing().is_some_and(|key| key.kid == kid) {
            // Logins go on with another key. If there is none, the kill must not wait for it.
            let rotated = self.rotate().await;
            log_failure(rotated.map(drop));
        }
        // No worker signs with it from now on.
        self.show(|keys| {
            keys.schedule.remove(kid);
            keys.private.remove(&kid);
        });
        let deleted = private_files::delete(&self.with.directory, &kid);
        self.keep(Some(KeyStatement::Killed(kid)), self.schedule()).await?;
        tracing::warn!(%kid, "a signing key was killed: its tokens are refused");
        deleted.map_err(|source| KeyRingError::Delete { kid, source })?;
        log_failure(self.carry_out_plan().await);
        Ok(())
    }

    /// Keys of this replica that were killed at another one.
    async fn give_up_killed(&mut self) -> Result<(), KeyRingError> {
        let mut schedule = self.schedule();
        let is_killed = |key: &OwnKey| self.view.key(&key.kid) == KeyStanding::Killed;
        let killed: Vec<KeyId> =
            schedule.own().iter().filter(|key| is_killed(key)).map(|key| key.kid).collect();
        if killed.is_empty() {
            return Ok(());
        }
        for kid in &killed {
            schedule.remove(*kid);
        }
        self.keep(None, schedule).await?;
        tracing::warn!(?killed, "signing keys of this replica were killed at another one");
        self.delete_what_signs_no_more()
    }

    pub(super) fn own(&self) -> Vec<OwnKey> {
        self.keys.borrow().schedule.own().to_vec()
    }

    fn clocks(&self) -> Clocks {
        Clocks::read(&self.with.clock, self.with.boot_id)
    }

    fn schedule(&self) -> KeySchedule {
        self.keys.borrow().schedule.clone()
    }

    fn show(&self, change: impl FnOnce(&mut SigningKeys)) {
        self.keys.send_modify(|keys| change(Arc::make_mut(keys)));
    }

    /// Stores the keys as `schedule` has them, and what is stated of one of them, then shows both.
    async fn keep(
        &self,
        statement: Option<KeyStatement>,
        schedule: KeySchedule,
    ) -> Result<(), KeyRingError> {
        let own = schedule.own().to_vec();
        ask(&self.revocations, KeepKeys { statement, own }).await??;
        self.show(|keys| keys.schedule = schedule);
        Ok(())
    }

    async fn carry_out(&self, action: KeyAction, clocks: &Clocks) -> Result<(), KeyRingError> {
        let mut schedule = self.schedule();
        match action {
            KeyAction::Make(reason) => self.make(reason, schedule, clocks).await,
            KeyAction::Sign(kid, reason) => {
                schedule.promote(kid, clocks);
                if let Signer::Raise(kid, ceiling_s) = schedule.signer(clocks, |_| None) {
                    schedule.raise_ceiling(kid, ceiling_s);
                }
                self.keep(None, schedule).await?;
                tracing::info!(%kid, ?reason, "a key signs from now on");
                Ok(())
            }
            KeyAction::State(kid) => {
                schedule.stated(kid, clocks.boot);
                let until_s = clocks.wall_s.saturating_add(KEY_STATEMENT_S);
                self.keep(Some(KeyStatement::Again(kid, until_s)), schedule).await
            }
            KeyAction::Discard(kid) | KeyAction::Forget(kid) => {
                schedule.remove(kid);
                self.keep(None, schedule).await
            }
        }
    }

    async fn make(
        &self,
        reason: KeyReason,
        mut schedule: KeySchedule,
        clocks: &Clocks,
    ) -> Result<(), KeyRingError> {
        let KeyRules { algorithm, lifetime_s, .. } = self.with.rules;
        let key = private_files::create(&self.with.directory, algorithm)?;
        let (kid, algorithm, public_key) = public_bytes(key.jwk())?;
        let published = PublishedKey {
            until_s: clocks.wall_s.saturating_add(KEY_STATEMENT_S),
            signs_from_s: clocks.wall_s,
            lifetime_s,
            kid,
            algorithm,
            public_key,
        };
        schedule.add(kid, clocks);
        // If it cannot be stored, the file is deleted with the next plan.
        self.show(|keys| drop(keys.private.insert(kid, key)));
        self.keep(Some(KeyStatement::Made(published)), schedule).await?;
        tracing::info!(%kid, ?reason, "a signing key was made");
        Ok(())
    }

    /// The ceiling of the key that signs is on the disk before it signs by the present clocks.
    async fn raise_ceiling(&self) -> Result<(), KeyRingError> {
        let mut schedule = self.schedule();
        let signer = schedule.signer(&self.clocks(), |kid| self.view.horizon_s(kid));
        let Signer::Raise(kid, ceiling_s) = signer else { return Ok(()) };
        schedule.raise_ceiling(kid, ceiling_s);
        self.keep(None, schedule).await
    }

    /// Deletes the private halves that sign no more.
    fn delete_what_signs_no_more(&self) -> Result<(), KeyRingError> {
        let keys = Arc::clone(&self.keys.borrow());
        let signs =
            |kid: &KeyId| keys.schedule.own().iter().any(|key| key.kid == *kid && may_sign(key));
        for kid in keys.private.keys().filter(|kid| !signs(kid)) {
            private_files::delete(&self.with.directory, kid)
                .map_err(|source| KeyRingError::Delete { kid: *kid, source })?;
            self.show(|keys| drop(keys.private.remove(kid)));
        }
        Ok(())
    }
}

/// A command is done although what should follow it has failed: the period tries it again.
fn log_failure(outcome: Result<(), KeyRingError>) {
    if let Err(error) = outcome {
        tracing::warn!(error = &error as &dyn Error, "the signing keys are not as they should be");
    }
}
