//! Whether a name and a password belong together, without telling by time which of them is wrong.

use std::error::Error;
use std::sync::Arc;

use contract::{PasswordRehashed, SealedHash, UserId};
use secrecy::SecretString;
use shared::actors::{Mailbox, ask};
use shared::bus::Bus;
use shared::bus::cloud_event::Codec;
use shared::hashing::{
    CheckCapacity, HashPassword, PasswordHash, PasswordHasher, Verification, VerifyPassword,
};
use shared::http::Problem;
use shared::identity::Password;
use shared::secrets::{SealingKeys, UnsealError};

use super::bodies::LoginAttempt;
use crate::actors::{CredentialReader, FindCredential};
use crate::domain::Credential;

/// Whom one worker asks, on its own thread, who somebody is.
pub struct Authenticator {
    /// Finds credentials.
    pub reader: Mailbox<CredentialReader>,
    /// Verifies passwords.
    pub hasher: Mailbox<PasswordHasher>,
    /// Opens the hashes of the projection.
    pub sealing_key: Arc<SealingKeys>,
    /// Takes hashes that were made anew.
    pub bus: Arc<dyn Bus>,
    /// Writes them.
    pub codec: Codec,
    /// Opened where there is no hash to open.
    pub decoy: Decoy,
}

/// A sealed text that looks like a hash and is none, so that a name that nobody has takes the same work
/// as any other.
pub struct Decoy(SealedHash);

impl Decoy {
    /// Seals one.
    pub fn new(keys: &SealingKeys) -> Self {
        let text = format!("$argon2id$v=19$m=19456,t=2,p=1${:A<22}${:A<43}", "", "");
        Self(keys.seal(&PasswordHash::from_phc(text), Self::USER, Self::PASSWORD_VERSION))
    }

    const USER: UserId = UserId(1);
    const PASSWORD_VERSION: i64 = 1;
}

impl Authenticator {
    /// Refuses at once when too many passwords wait to be hashed.
    pub(super) async fn check_capacity(&self) -> Result<(), Problem> {
        Ok(ask(&self.hasher, CheckCapacity).await??)
    }

    /// Which of their passwords the user of this name has, if there is one: wrong ones are counted
    /// for each.
    pub(super) async fn present_password(
        &self,
        attempt: &LoginAttempt,
    ) -> Result<Option<i64>, Problem> {
        Ok(self.find(attempt).await?.map(|credential| credential.password_version))
    }

    /// The user whose name and password these are.
    ///
    /// If they are not, looks once more: a change may have arrived while the password was hashed.
    pub(super) async fn authenticate(
        &self,
        attempt: &LoginAttempt,
    ) -> Result<Option<Credential>, Problem> {
        let found = self.find(attempt).await?;
        if self.verify(attempt, found.as_ref()).await? {
            return Ok(found);
        }
        let again = self.find(attempt).await?;
        if again.is_some() && again != found && self.verify(attempt, again.as_ref()).await? {
            return Ok(again);
        }
        Ok(None)
    }

    async fn find(&self, attempt: &LoginAttempt) -> Result<Option<Credential>, Problem> {
        let command = FindCredential { username_keys: attempt.username_keys.clone() };
        ask(&self.reader, command).await?.map_err(Problem::internal)
    }

    /// The same work whatever is missing.
    async fn verify(
        &self,
        attempt: &LoginAttempt,
        credential: Option<&Credential>,
    ) -> Result<bool, Problem> {
        let stored = self.unseal(credential);
        // What no profile allows is compared as the empty password with nobody's hash.
        let (password, stored) = match &attempt.password {
            Some(password) => (Some(password.clone()), stored),
            None => (Password::prepare(&SecretString::from("")), None),
        };
        let Some(password) = password else { return Ok(false) };
        let command = VerifyPassword { password: password.clone(), stored };
        let verification = ask(&self.hasher, command).await??;
        if verification == (Verification::Right { is_outdated: true })
            && let Some(credential) = credential
        {
            self.rehash_later(password, credential);
        }
        Ok(verification != Verification::Wrong)
    }

    /// Nothing if the hash has not come yet or cannot be opened. Then the password is compared with
    /// the decoy and is wrong: another answer would tell that somebody has this name (decision
    /// 0011). `/readyz` and the log tell the operator.
    fn unseal(&self, credential: Option<&Credential>) -> Option<PasswordHash> {
        let sealed = credential.and_then(|found| Some((found, found.sealed_hash.as_ref()?)));
        let Some((Credential { id, password_version, .. }, sealed_hash)) = sealed else {
            // For the work alone: what it holds is nobody's.
            let Decoy(decoy) = &self.decoy;
            let _ = self.sealing_key.unseal(decoy, Decoy::USER, Decoy::PASSWORD_VERSION);
            return None;
        };
        let opened = self.sealing_key.unseal(sealed_hash, *id, *password_version);
        let note = |error: &UnsealError| {
            tracing::debug!(%id, error = error as &dyn Error, "a hash cannot be opened");
        };
        opened.inspect_err(note).ok()
    }

    /// Makes the hash anew with today's parameters and hands it to user_service, without delaying
    /// the answer. Whenever that fails, the next login tries again; so it is not begun in vain.
    fn rehash_later(&self, password: Password, credential: &Credential) {
        if !self.bus.status().is_connected() {
            return;
        }
        let Credential { id, password_version, .. } = *credential;
        let (hasher, key, codec, bus) = (
            self.hasher.clone(),
            Arc::clone(&self.sealing_key),
            self.codec.clone(),
            Arc::clone(&self.bus),
        );
        actix_web::rt::spawn(async move {
            let Ok(Ok(hash)) = ask(&hasher, HashPassword(password)).await else { return };
            let sealed_hash = key.seal(&hash, id, password_version);
            let command = PasswordRehashed { id, password_version, sealed_hash };
            if let Err(error) = bus.publish(vec![codec.encode_rehash(&command)]).await {
                tracing::debug!(error = &error as &dyn Error, "a new hash was not sent");
            }
        });
    }
}
