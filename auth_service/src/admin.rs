//! What an operator can ask the running service for, through the socket in its data directory.

use std::fmt::Display;
use std::path::Path;

use contract::TokenRecord;
use contract::token_record::KeyId;
use serde::{Deserialize, Serialize};
use shared::actors::{Health, Mailbox, ask};
use shared::admin::CommandSocket;
use shared::tokens::key_schedule::Stage;
use tokio::task::JoinHandle;

use crate::actors::key_ring::{KillKey, ListOwnKeys, RotateKeys};
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

/// Answers commands until the task is aborted.
pub(crate) fn spawn_admin(
    data_dir: &Path,
    key_ring: Mailbox<KeyRing>,
    revocations: Mailbox<TokenRevocations>,
    health: Health,
) -> JoinHandle<()> {
    let socket = CommandSocket::bind(data_dir, SERVICE);
    actix::spawn(async move {
        let Some(socket) = socket else { return };
        let actors = (&key_ring, &revocations);
        let answer = async |command: AdminCommand| answer(command, actors).await;
        socket.serve(&health, answer).await;
    })
}

async fn answer(
    command: AdminCommand,
    (key_ring, revocations): (&Mailbox<KeyRing>, &Mailbox<TokenRevocations>),
) -> Result<Vec<ListedKey>, String> {
    match command {
        AdminCommand::ListKeys => {}
        AdminCommand::RotateKeys => {
            ask(key_ring, RotateKeys).await.map_err(told)?.map_err(told)?;
        }
        AdminCommand::KillKey { kid } => {
            let kid = KeyId::parse(&kid).ok_or_else(|| format!("{kid} is no name of a key"))?;
            ask(key_ring, KillKey(kid)).await.map_err(told)?.map_err(told)?;
        }
    }
    list(key_ring, revocations).await
}

fn told(error: impl Display) -> String {
    error.to_string()
}

async fn list(
    key_ring: &Mailbox<KeyRing>,
    revocations: &Mailbox<TokenRevocations>,
) -> Result<Vec<ListedKey>, String> {
    let own = ask(key_ring, ListOwnKeys).await.map_err(told)?;
    let state_of = |kid: &KeyId| {
        let stage = own.iter().find(|key| key.kid == *kid).map(|key| key.stage);
        match stage {
            Some(Stage::Signing) => KeyState::Signing,
            Some(Stage::Next) => KeyState::Next,
            Some(Stage::Retired(_)) => KeyState::Retired,
            None => KeyState::Published,
        }
    };
    let records = ask(revocations, ListKeys).await.map_err(told)?;
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
