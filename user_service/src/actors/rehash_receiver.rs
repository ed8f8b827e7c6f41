//! Takes passwords that auth_service has hashed again at a login.
//!
//! **Owns** nothing: it opens what was sealed, and hands on.
//!
//! **Promises** nothing either: the next login makes a lost hash again.
//!
//! **When full**, that is when the writer is, the hash is dropped.
//!
//! **When it dies** old hashes stay as they are.

use std::error::Error;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use contract::PasswordRehashed;
use contract::topology::REHASH_QUEUE;
use futures_util::future::pending;
use shared::actors::{Health, Mailbox, ask, supervise};
use shared::bus::{Bus, Message};
use shared::secrets::{SealingKey, UnsealError};

use super::consuming::{consume, shared_queue};
use super::user_repository::UserRepository;
use crate::store::{Change, ReplaceHash};

/// How many messages may be on their way to it.
const PREFETCH: u16 = 16;

/// The receiver.
pub struct RehashReceiver {
    bus: Arc<dyn Bus>,
    receiving: Arc<Receiving>,
    health: Health,
}

/// What a message needs.
struct Receiving {
    repository: Mailbox<UserRepository>,
    sealing_key: Arc<SealingKey>,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
enum ReceiveError {
    #[error("the message cannot be decoded")]
    Json(#[from] serde_json::Error),
    #[error("the hash cannot be opened")]
    Unseal(#[from] UnsealError),
    #[error("what was sealed is not an Argon2id hash")]
    NotAHash,
}

impl RehashReceiver {
    /// Hands what comes by the bus to the writer.
    pub fn new(
        bus: Arc<dyn Bus>,
        repository: Mailbox<UserRepository>,
        sealing_key: Arc<SealingKey>,
        health: Health,
    ) -> Self {
        Self { bus, receiving: Arc::new(Receiving { repository, sealing_key }), health }
    }
}

impl Actor for RehashReceiver {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let (bus, health) = (Arc::clone(&self.bus), self.health.clone());
        let receiving = Arc::clone(&self.receiving);
        let running = async move {
            supervise(&health, "receiving new hashes", pending(), async || {
                let queue = shared_queue(REHASH_QUEUE, PREFETCH);
                consume(&*bus, queue, async |message| receiving.take(&message).await).await
            })
            .await;
        };
        context.spawn(running.into_actor(self).map(|(), _, _| ()));
    }
}

impl Receiving {
    async fn take(&self, message: &Message) {
        let replace = match self.decode(message) {
            Ok(replace) => replace,
            Err(error) => {
                let (error, message_id) = (&error as &dyn Error, &message.id);
                return tracing::warn!(error, message_id, "a new hash was refused");
            }
        };
        let user_id = replace.id.0;
        match ask(&self.repository, Change::ReplaceHash(replace)).await {
            Ok(Ok(_)) => tracing::debug!(user_id, "a new hash is stored"),
            Ok(Err(error)) => tracing::debug!(%error, user_id, "a new hash was not stored"),
            Err(error) => tracing::debug!(%error, user_id, "a new hash was dropped"),
        }
    }

    fn decode(&self, message: &Message) -> Result<ReplaceHash, ReceiveError> {
        let PasswordRehashed { id, password_version, sealed_hash } =
            serde_json::from_slice(&message.body)?;
        let password_hash = self.sealing_key.unseal(&sealed_hash, id, password_version)?;
        if !password_hash.is_argon2id() {
            return Err(ReceiveError::NotAHash);
        }
        Ok(ReplaceHash { id, password_version, password_hash })
    }
}
