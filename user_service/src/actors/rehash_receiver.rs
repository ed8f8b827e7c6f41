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

/// The loop, for the log and `/readyz`.
const RECEIVING: &str = "receiving new hashes";
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
            supervise(&health, RECEIVING, pending(), async || {
                let queue = shared_queue(REHASH_QUEUE, PREFETCH);
                let take = async |message| receiving.take(&message).await;
                consume(&*bus, queue, RECEIVING, take).await
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

#[cfg(test)]
mod tests {
    use super::super::test_bus::{Call, TestBus, Trouble, panics_once};
    use super::super::test_repository::{TestRepository, create_as};
    use super::*;
    use contract::UserId;
    use shared::bus::{Destination, Outgoing};
    use shared::hashing::PasswordHash;
    use std::time::Duration;
    use testkit::wait::until;

    fn receiver(repository: &TestRepository, bus: &Arc<dyn Bus>) -> Mailbox<RehashReceiver> {
        let (mailbox, key) = (repository.mailbox.clone(), Arc::clone(&repository.key));
        let health = repository.health.clone();
        let receiver = RehashReceiver::new(Arc::clone(bus), mailbox, key, health);
        Mailbox::start(&repository.health, 1, |_| receiver)
    }

    fn rehashed(repository: &TestRepository, id: UserId, hash: &str) -> Vec<u8> {
        let hash = PasswordHash::from_phc(hash);
        let sealed_hash = repository.key.seal(&hash, id, 1);
        serde_json::to_vec(&PasswordRehashed { id, password_version: 1, sealed_hash }).unwrap()
    }

    /// Sends them until the last one is stored: messages to a queue that is not declared yet are
    /// gone.
    async fn until_stored(repository: &TestRepository, bus: &dyn Bus, bodies: &[Vec<u8>]) {
        let send = |body: &Vec<u8>| Outgoing {
            to: Destination::Queue(REHASH_QUEUE.into()),
            message: Message { body: body.clone().into(), ..Message::default() },
        };
        until("the hash is stored", Duration::from_secs(10), async || {
            bus.publish(bodies.iter().map(send).collect()).await.unwrap();
            let records = repository.log.list_records(1, 1).await.unwrap().records;
            let hash = records.into_iter().next()?.password?.hash;
            (hash == PasswordHash::from_phc("$argon2id$new")).then_some(())
        })
        .await;
    }

    #[actix::test]
    async fn what_cannot_be_used_is_refused_and_does_not_stop_the_next() {
        let bus: Arc<dyn Bus> = TestBus::new(|_| Trouble::No);
        let repository = TestRepository::start().await;
        let anna = create_as(&repository, "anna").await.user.id;
        let _receiver = receiver(&repository, &bus);
        let for_another = rehashed(&repository, UserId(9), "$argon2id$other");
        let renamed = String::from_utf8(for_another).unwrap().replace("\"id\":9", "\"id\":1");
        let bodies = [
            b"no JSON".to_vec(),
            rehashed(&repository, anna, "no hash"),
            renamed.into_bytes(),
            rehashed(&repository, anna, "$argon2id$new"),
        ];
        until_stored(&repository, &*bus, &bodies).await;
    }

    #[actix::test]
    async fn after_a_panic_new_hashes_are_received_all_the_same() {
        let bus: Arc<dyn Bus> =
            TestBus::new(panics_once(|call| matches!(call, Call::Subscribe(_))));
        let repository = TestRepository::start().await;
        let anna = create_as(&repository, "anna").await.user.id;
        let _receiver = receiver(&repository, &bus);
        let bodies = [rehashed(&repository, anna, "$argon2id$new")];
        until_stored(&repository, &*bus, &bodies).await;
        let failed = "receiving new hashes: panicked: as the test wants it";
        assert_eq!(repository.health.degraded(), [failed]);
    }
}
