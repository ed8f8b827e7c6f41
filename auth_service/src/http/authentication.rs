//! Whether a name and a password belong together. The time that it takes does not tell which of them
//! is wrong.

use std::error::Error;
use std::sync::Arc;

use contract::{PasswordRehashed, SealedHash, UserId};
use secrecy::SecretString;
use shared::actors::{Mailbox, ask};
use shared::bus::Bus;
use shared::bus::cloud_event::Codec;
use shared::hashing::{
    CheckCapacity, HashPassword, HashRefused, PasswordHash, PasswordHasher, Verification,
    VerifyPassword,
};
use shared::http::Problem;
use shared::identity::Password;
use shared::secrets::{SealingKeys, UnsealError};
use shared::tokens::EndedStamps;

use super::bodies::LoginAttempt;
use crate::actors::user_event_consumer::Freshness;
use crate::actors::{CredentialReader, FindCredential};
use crate::domain::Credential;

/// Checks names and passwords, on one worker's own thread.
pub struct Authenticator {
    /// Finds credentials.
    pub reader: Mailbox<CredentialReader>,
    /// Verifies passwords.
    pub hasher: Mailbox<PasswordHasher>,
    /// Opens the hashes of the projection.
    pub sealing_key: Arc<SealingKeys>,
    /// Takes rehashed passwords to user_service.
    pub bus: Arc<dyn Bus>,
    /// Encodes them.
    pub codec: Codec,
    /// Opened in place of a hash that does not exist.
    pub decoy: Decoy,
    /// Asks for what has not arrived, while the broker is unreachable.
    pub fresh: Freshness,
    /// Tells of deletions and new passwords that the projection does not show yet.
    pub ended: EndedStamps,
}

/// A sealed text that looks like a hash, so that opening takes as long for an unknown name as for a
/// known one.
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

    /// The password version of the user with this name, if there is one: wrong passwords are counted
    /// for each version.
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
        self.fresh.renew().await;
        let again = self.find(attempt).await?;
        if again.is_some() && again != found && self.verify(attempt, again.as_ref()).await? {
            return Ok(again);
        }
        Ok(None)
    }

    async fn find(&self, attempt: &LoginAttempt) -> Result<Option<Credential>, Problem> {
        let command = FindCredential { username_keys: attempt.username_keys.clone() };
        let found = ask(&self.reader, command).await?.map_err(Problem::internal)?;
        Ok(found.filter(|found| !self.ended.contains(found.id, found.stamp)))
    }

    /// Does the same work whatever is missing.
    async fn verify(
        &self,
        attempt: &LoginAttempt,
        credential: Option<&Credential>,
    ) -> Result<bool, Problem> {
        let stored = self.unseal(credential);
        // A password that the rules do not allow is compared as the empty one, with the decoy.
        let (password, stored) = match &attempt.password {
            Some(password) => (Some(password.clone()), stored),
            None => (Password::prepare(&SecretString::from("")), None),
        };
        let Some(password) = password else { return Ok(false) };
        let replaces = stored.as_ref().map(PasswordHash::name);
        let command = VerifyPassword { password: password.clone(), stored };
        let verification = match ask(&self.hasher, command).await? {
            Err(HashRefused::Fault(error)) => {
                let id = credential.map(|found| found.id.0);
                tracing::error!(error = &error as &dyn Error, id, "a stored hash cannot be used");
                // As in `unseal`: a 500 would tell that somebody has this name.
                let decoy = VerifyPassword { password: password.clone(), stored: None };
                ask(&self.hasher, decoy).await??
            }
            other => other?,
        };
        if verification == (Verification::Right { is_outdated: true })
            && let Some(credential) = credential
        {
            self.rehash_later(password, credential, replaces);
        }
        Ok(verification != Verification::Wrong)
    }

    /// The hash; `None` if it has not arrived yet or cannot be opened. Then the password is compared
    /// with the decoy and is wrong: another answer would tell that somebody has this name (decision
    /// 0011). `/readyz` and the log tell the operator.
    fn unseal(&self, credential: Option<&Credential>) -> Option<PasswordHash> {
        let sealed = credential.and_then(|found| Some((found, found.sealed_hash.as_ref()?)));
        let Some((Credential { id, password_version, .. }, sealed_hash)) = sealed else {
            // Only for the work: the opened text is not used.
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

    /// Rehashes the password with today's parameters and sends the hash to user_service, without
    /// delaying the answer. If that fails, the next login tries again. So it is not even started while
    /// the bus is down.
    fn rehash_later(&self, password: Password, credential: &Credential, replaces: Option<String>) {
        if !self.bus.status().is_connected() {
            return;
        }
        let Credential { id, password_version, stamp, .. } = *credential;
        let (hasher, key, codec, bus) = (
            self.hasher.clone(),
            Arc::clone(&self.sealing_key),
            self.codec.clone(),
            Arc::clone(&self.bus),
        );
        actix_web::rt::spawn(async move {
            let Ok(Ok(hash)) = ask(&hasher, HashPassword(password)).await else { return };
            let sealed_hash = key.seal(&hash, id, password_version);
            let stamp = Some(stamp);
            let command = PasswordRehashed { id, password_version, stamp, replaces, sealed_hash };
            if let Err(error) = bus.publish(vec![codec.encode_rehash(&command)]).await {
                tracing::debug!(error = &error as &dyn Error, "a new hash was not sent");
            }
        });
    }
}
