//! What an operator can ask the running service for, through the socket in its data directory.

use std::path::Path;

use contract::TokenRecord;
use contract::token_record::KeyId;
use serde::{Deserialize, Serialize};
use shared::actors::{AskError, Health, Mailbox, ask};
use shared::admin::{CommandError, CommandSocket, Operator};
use shared::audit::{Action, AuditRecord, AuditTrail, BackupEnded};
use shared::tokens::key_schedule::Stage;
use tokio::task::JoinHandle;

use crate::actors::key_ring::{KeyRingError, KillKey, ListOwnKeys, RotateKeys};
use crate::actors::token_revocations::ListKeys;
use crate::actors::{KeyRing, TokenRevocations};

/// The name of the socket.
pub(crate) const SERVICE: &str = "auth_service";

/// A command.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AdminCommand {
    /// Which keys are there?
    ListKeys,
    /// Let the next key sign.
    RotateKeys,
    /// Refuse every token of this key.
    KillKey {
        /// Its kid.
        kid: String,
    },
    /// A backup was made beside the service, or not: write that down.
    BackupEnded(BackupEnded),
}

/// A key, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedKey {
    pub(crate) kid: String,
    pub(crate) state: KeyState,
    /// None for a killed key, of which nothing but its name is kept.
    pub(crate) alg: Option<String>,
    /// No token of it lives longer, in seconds.
    pub(crate) lifetime_s: Option<i64>,
    /// It is listed in the JWK set until then at least, in seconds since 1970.
    pub(crate) until_s: Option<i64>,
}

/// Where a key is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyState {
    /// It signs every new token.
    Signing,
    /// It is published, and signs next.
    Next,
    /// It signs no more; its tokens live on.
    Retired,
    /// It signs nothing, and its tokens have expired; it is still listed.
    Published,
    /// Its tokens are refused.
    Killed,
}

/// The actors that commands need, and the trail that tells of them.
pub(crate) struct AdminActors {
    pub(crate) key_ring: Mailbox<KeyRing>,
    pub(crate) revocations: Mailbox<TokenRevocations>,
    pub(crate) audit: AuditTrail,
}

/// Answers commands until the task is aborted.
pub(crate) fn spawn_admin(data_dir: &Path, actors: AdminActors, health: Health) -> JoinHandle<()> {
    let socket = CommandSocket::bind(data_dir, SERVICE);
    actix::spawn(async move {
        let Some(socket) = socket else { return };
        let answer = async |command, operator| actors.answer(command, operator).await;
        socket.serve(&health, answer).await;
    })
}

impl AdminActors {
    async fn answer(
        &self,
        command: AdminCommand,
        operator: Operator,
    ) -> Result<Vec<ListedKey>, CommandError> {
        match command {
            AdminCommand::ListKeys => {}
            AdminCommand::RotateKeys => {
                let rotate = async |record: &mut AuditRecord| {
                    if let Some(kid) = ask(&self.key_ring, RotateKeys).await?? {
                        record.about_key(kid);
                    }
                    Ok::<_, CommandError>(())
                };
                self.audit.follow(Action::RotateKeys, operator, rotate).await?;
            }
            AdminCommand::KillKey { kid } => {
                let kill = async |record: &mut AuditRecord| {
                    let no_kid = || CommandError::Refused(format!("{kid} is no name of a key"));
                    let kid = KeyId::parse(&kid).ok_or_else(no_kid)?;
                    record.about_key(kid);
                    Ok::<_, CommandError>(ask(&self.key_ring, KillKey(kid)).await??)
                };
                self.audit.follow(Action::KillKey, operator, kill).await?;
            }
            AdminCommand::BackupEnded(ended) => {
                self.audit.write_backup(ended, operator);
                return Ok(Vec::new());
            }
        }
        Ok(list(&self.key_ring, &self.revocations).await?)
    }
}

impl From<KeyRingError> for CommandError {
    fn from(error: KeyRingError) -> Self {
        match error {
            KeyRingError::NoSuchKey(_) => Self::Refused(error.to_string()),
            _ => Self::failed(&error),
        }
    }
}

async fn list(
    key_ring: &Mailbox<KeyRing>,
    revocations: &Mailbox<TokenRevocations>,
) -> Result<Vec<ListedKey>, AskError> {
    let own = ask(key_ring, ListOwnKeys).await?;
    let state_of = |kid: &KeyId| {
        let stage = own.iter().find(|key| key.kid == *kid).map(|key| key.stage);
        match stage {
            Some(Stage::Signing) => KeyState::Signing,
            Some(Stage::Next) => KeyState::Next,
            Some(Stage::Retired(_)) => KeyState::Retired,
            None => KeyState::Published,
        }
    };
    let records = ask(revocations, ListKeys).await?;
    let listed = records.into_iter().filter_map(|record| match record {
        TokenRecord::KeyPublished(key) => Some(ListedKey {
            kid: key.kid.to_string(),
            state: state_of(&key.kid),
            alg: Some(key.algorithm.as_str().to_owned()),
            lifetime_s: Some(key.lifetime_s),
            until_s: Some(key.until_s),
        }),
        TokenRecord::KeyKilled { kid } => Some(ListedKey {
            kid: kid.to_string(),
            state: KeyState::Killed,
            alg: None,
            lifetime_s: None,
            until_s: None,
        }),
        TokenRecord::SessionRevoked { .. } | TokenRecord::TokenTraded(_) => None,
    });
    let mut listed: Vec<_> = listed.collect();
    listed.sort_by(|one, other| (one.state, &one.kid).cmp(&(other.state, &other.kid)));
    Ok(listed)
}
