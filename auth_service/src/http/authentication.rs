//! Whether a name and a password belong together. The time that it takes does not tell which of them
//! is wrong.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use contract::PasswordRehashed;
use secrecy::SecretString;
use shared::actors::{Mailbox, ask};
use shared::bus::Bus;
use shared::bus::cloud_event::Codec;
use shared::hashing::{
    CheckCapacity, HashPassword, HashRefused, PasswordHash, PasswordHasher, Stored, Verification,
    VerifyPassword,
};
use shared::http::Problem;
use shared::identity::Password;
use shared::secrets::{SealingKeys, UnsealError};
use shared::tokens::EndedStamps;
use tokio::sync::watch;
use tokio::time::timeout;

use super::bodies::LoginAttempt;
use super::waiters::until_next_look;
use crate::actors::user_event_consumer::UsersFreshness;
use crate::actors::{Applied, CredentialReader, FindCredential, FindStandIn, Progress};
use crate::domain::{Credential, Lot};

/// How long a login waits for a change of its user that has arrived and is not applied yet.
const APPLYING_MAX: Duration = Duration::from_secs(1);

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
    /// Asks for what has not arrived, while the broker is unreachable.
    pub fresh: UsersFreshness,
    /// Tells of deletions and new passwords that the projection does not show yet.
    pub ended: EndedStamps,
    /// Tells when the projection shows them.
    pub applied: watch::Receiver<Applied>,
    /// Tells that it cannot, because nothing can be written.
    pub progress: watch::Receiver<Progress>,
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
        // For known names, too: it takes time.
        let stand_in = self.find_stand_in(attempt).await?;
        if self.verify(attempt, found.as_ref(), stand_in.as_ref()).await? {
            return Ok(found);
        }
        self.fresh.renew().await;
        let again = self.find(attempt).await?;
        if again.is_some()
            && again != found
            && self.verify(attempt, again.as_ref(), stand_in.as_ref()).await?
        {
            return Ok(again);
        }
        Ok(None)
    }

    /// The user with this name, unless a deletion or another password is known that cannot be applied.
    /// What is known and about to be applied is waited for: the password may be the new one, or the
    /// same as before `/logout/all`.
    async fn find(&self, attempt: &LoginAttempt) -> Result<Option<Credential>, Problem> {
        let Some(found) = self.read(attempt).await? else { return Ok(None) };
        if !self.has_ended(&found) {
            return Ok(Some(found));
        }
        self.until_applied(&found).await;
        Ok(self.read(attempt).await?.filter(|found| !self.has_ended(found)))
    }

    async fn read(&self, attempt: &LoginAttempt) -> Result<Option<Credential>, Problem> {
        let command = FindCredential { username_keys: attempt.username_keys.clone() };
        ask(&self.reader, command).await?.map_err(Problem::internal)
    }

    fn has_ended(&self, credential: &Credential) -> bool {
        self.ended.contains(credential.id, credential.stamp)
    }

    /// Whether other credentials are on their way in the place of these.
    fn may_come(&self, credential: &Credential) -> bool {
        self.has_ended(credential) && !self.ended.has_deletion(credential.id)
    }

    /// Waits until the projection shows what has ended these credentials, or cannot be written.
    async fn until_applied(&self, credential: &Credential) {
        let mut applied = self.applied.clone();
        let applying = async {
            while self.may_come(credential) && !self.progress.borrow().is_stuck {
                until_next_look(&mut applied).await;
            }
        };
        // Afterwards it is looked once more, whatever the time has brought.
        let _ = timeout(APPLYING_MAX, applying).await;
    }

    async fn find_stand_in(&self, attempt: &LoginAttempt) -> Result<Option<Credential>, Problem> {
        // The last form is the same however the name is spelled. Names that are too long to exist
        // have one stand-in.
        let name = attempt.username_keys.last().map_or("", String::as_str);
        let lot = Lot::of(name, &self.sealing_key);
        ask(&self.reader, FindStandIn(lot)).await?.map_err(Problem::internal)
    }

    /// Does the same work whatever is missing.
    async fn verify(
        &self,
        attempt: &LoginAttempt,
        credential: Option<&Credential>,
        stand_in: Option<&Credential>,
    ) -> Result<bool, Problem> {
        // A password that the rules do not allow is compared as the empty one, in vain.
        let (password, own): (_, fn(PasswordHash) -> Stored) = match &attempt.password {
            Some(password) => (Some(password.clone()), Stored::Own),
            None => (Password::prepare(&SecretString::from("")), Stored::StandIn),
        };
        let Some(password) = password else { return Ok(false) };
        let verification = self.compare(&password, own, [credential, stand_in]).await?;
        if verification == (Verification::Right { is_outdated: true })
            && let Some(credential) = credential
        {
            self.rehash_later(password, credential);
        }
        Ok(verification != Verification::Wrong)
    }

    /// Compares the password with the first hash that is there and can be used. If the user's own is
    /// not, the stand-in's is compared in vain, as for a name that nobody has: another answer, or
    /// another time, would tell that somebody has it (decision 0011). `/readyz` and the log tell the
    /// operator.
    async fn compare(
        &self,
        password: &Password,
        own: fn(PasswordHash) -> Stored,
        [credential, stand_in]: [Option<&Credential>; 2],
    ) -> Result<Verification, Problem> {
        for (candidate, stored) in [(credential, own), (stand_in, Stored::StandIn)] {
            let Some(candidate) = candidate else { continue };
            let Some(hash) = self.unseal(candidate) else { continue };
            let command = VerifyPassword { password: password.clone(), stored: stored(hash) };
            match ask(&self.hasher, command).await? {
                Err(HashRefused::Fault(error)) => {
                    let id = candidate.id.0;
                    tracing::error!(
                        error = &error as &dyn Error,
                        id,
                        "a stored hash cannot be used"
                    );
                }
                other => return Ok(other?),
            }
        }
        let nothing = VerifyPassword { password: password.clone(), stored: Stored::Nothing };
        Ok(ask(&self.hasher, nothing).await??)
    }

    /// The hash; `None` if it has not arrived yet or cannot be opened.
    fn unseal(&self, credential: &Credential) -> Option<PasswordHash> {
        let Credential { id, password_version, sealed_hash, .. } = credential;
        let opened = self.sealing_key.unseal(sealed_hash.as_ref()?, *id, *password_version);
        let note = |error: &UnsealError| {
            tracing::debug!(%id, error = error as &dyn Error, "a hash cannot be opened");
        };
        opened.inspect_err(note).ok()
    }

    /// Rehashes the password with today's parameters and sends the hash to user_service, without
    /// delaying the answer. If that fails, the next login tries again. So it is not even started while
    /// the bus is down.
    fn rehash_later(&self, password: Password, credential: &Credential) {
        if !self.bus.status().is_connected() {
            return;
        }
        let Credential { id, password_version, stamp, .. } = *credential;
        let replaces = self.unseal(credential).as_ref().map(PasswordHash::name);
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
