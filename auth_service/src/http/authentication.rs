//! Whether a name and a password belong together, without telling by time which of them is wrong.

use actix::Addr;
use secrecy::SecretString;
use shared::actors::ask;
use shared::bus::{Destination, Message, Outgoing};
use shared::contract::PasswordRehashed;
use shared::contract::topology::REHASH_QUEUE;
use shared::hashing::{HashPassword, Verification, VerifyPassword};
use shared::http::Problem;
use shared::precis::{Password, Username};

use super::Handles;
use crate::actors::{CredentialReader, FindCredential};
use crate::domain::Credential;

/// A name and a password that somebody claims to belong together.
pub(super) struct Attempt {
    /// Nothing if it breaks the rules: then it is nobody's name.
    username: Option<Username>,
    /// Nothing if it breaks the rules: then it is nobody's password.
    password: Option<Password>,
}

impl Attempt {
    /// Prepares both as user_service did when they were set.
    pub(super) fn new(username: &str, password: &SecretString) -> Self {
        Self { username: Username::parse(username).ok(), password: Password::prepare(password) }
    }

    /// The user whose name and password these are.
    ///
    /// If they are not, looks once more: a change may have arrived while the password was hashed.
    pub(super) async fn authenticate(
        self,
        handles: &Handles,
        reader: &Addr<CredentialReader>,
    ) -> Result<Option<Credential>, Problem> {
        let found = self.find(reader).await?;
        if self.verify(found.as_ref(), handles).await? {
            return Ok(found);
        }
        let again = self.find(reader).await?;
        if again.is_some() && again != found && self.verify(again.as_ref(), handles).await? {
            return Ok(again);
        }
        Ok(None)
    }

    async fn find(&self, reader: &Addr<CredentialReader>) -> Result<Option<Credential>, Problem> {
        let Some(username) = &self.username else { return Ok(None) };
        let command = FindCredential { username_key: username.key().to_owned() };
        ask(reader, command).await?.map_err(Problem::internal)
    }

    /// The same work whatever is missing.
    async fn verify(
        &self,
        credential: Option<&Credential>,
        handles: &Handles,
    ) -> Result<bool, Problem> {
        let stored = credential.map(|c| unseal(c, handles)).transpose()?;
        // What no profile allows is compared as the empty password with nobody's hash.
        let (password, stored) = match &self.password {
            Some(password) => (Some(password.clone()), stored),
            None => (Password::prepare(&SecretString::from("")), None),
        };
        let Some(password) = password else { return Ok(false) };
        let command = VerifyPassword { password: password.clone(), stored };
        let verification = ask(&handles.hasher, command).await??;
        if verification == (Verification::Right { is_outdated: true })
            && let Some(credential) = credential
        {
            rehash_later(password, credential, handles.clone());
        }
        Ok(verification != Verification::Wrong)
    }
}

fn unseal(credential: &Credential, handles: &Handles) -> Result<String, Problem> {
    let Credential { id, version, sealed_hash, .. } = credential;
    handles.sealing_key.unseal(sealed_hash, *id, *version).map_err(Problem::internal)
}

/// Makes the hash anew with today's parameters and hands it to user_service, without delaying the
/// answer. Whenever that fails, the next login tries again; so it is not begun in vain.
fn rehash_later(password: Password, credential: &Credential, handles: Handles) {
    if !handles.bus.is_connected() {
        return;
    }
    let Credential { id, version, password_version, .. } = *credential;
    actix_web::rt::spawn(async move {
        let Ok(Ok(hash)) = ask(&handles.hasher, HashPassword(password)).await else { return };
        let password_hash = handles.sealing_key.seal(&hash, id, version);
        let command = PasswordRehashed { id, version, password_version, password_hash };
        let Ok(body) = serde_json::to_vec(&command) else { return };
        let kind = "password.rehashed".to_owned();
        let message = Message { kind, body: body.into(), ..Message::default() };
        let to = Destination::Queue(REHASH_QUEUE.to_owned());
        if let Err(error) = handles.bus.publish(vec![Outgoing { to, message }]).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a new hash was not sent");
        }
    });
}
