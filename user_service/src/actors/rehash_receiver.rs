//! Receives passwords that auth_service has rehashed at a login.
//!
//! **Owns** nothing: it opens the sealed hash and passes it on.
//!
//! **Promises** nothing: a lost hash is computed again at the next login.
//!
//! **When full**, which means that the writer's mailbox is full, the hash is dropped.
//!
//! **When it dies** old hashes stay as they are.

use std::error::Error;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use contract::PasswordRehashed;
use contract::topology::REHASH_QUEUE;
use shared::actors::{Health, Mailbox, ask};
use shared::bus::cloud_event::Codec;
use shared::secrets::{SealingKeys, UnsealError};

use super::consuming::{BusAccess, NotNow, receive, shared_queue};
use super::user_repository::UserRepository;
use crate::store::{Change, ReplaceHash};

/// The name of the loop, in the log and at `/readyz`.
const RECEIVING: &str = "receiving new hashes";
/// How many messages may be on their way to the receiver.
const PREFETCH: u16 = 16;

/// The receiver.
pub struct RehashReceiver {
    access: BusAccess,
    receiving: Arc<Receiving>,
    health: Health,
}

/// What handling a message needs.
struct Receiving {
    repository: Mailbox<UserRepository>,
    sealing_key: Arc<SealingKeys>,
}

/// Why a hash was refused.
#[derive(Debug, thiserror::Error)]
enum ReceiveError {
    #[error("the hash cannot be opened")]
    Unseal(#[from] UnsealError),
    #[error("the sealed text is not an Argon2id hash")]
    NotAHash,
}

impl RehashReceiver {
    /// Passes messages from the bus to the writer.
    pub fn new(
        access: BusAccess,
        repository: Mailbox<UserRepository>,
        sealing_key: Arc<SealingKeys>,
        health: Health,
    ) -> Self {
        Self { access, receiving: Arc::new(Receiving { repository, sealing_key }), health }
    }
}

impl Actor for RehashReceiver {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let (access, health) = (self.access.clone(), self.health.clone());
        let receiving = Arc::clone(&self.receiving);
        let running = async move {
            let queue = (RECEIVING, shared_queue(REHASH_QUEUE, PREFETCH));
            let take = async |rehashed| receiving.take(rehashed).await;
            receive(&access, &health, queue, Codec::decode_rehash, take).await;
        };
        context.spawn(running.into_actor(self).map(|(), _, _| ()));
    }
}

impl Receiving {
    async fn take(&self, rehashed: PasswordRehashed) -> Result<(), NotNow> {
        let user_id = rehashed.id.0;
        let replace = match self.unseal(&rehashed) {
            Ok(replace) => replace,
            Err(error) => {
                let error = &error as &dyn Error;
                tracing::warn!(error, user_id, "a rehashed password was refused");
                return Ok(());
            }
        };
        match ask(&self.repository, Change::ReplaceHash(replace)).await {
            Ok(Ok(_)) => tracing::debug!(user_id, "a new hash is stored"),
            Ok(Err(error)) => {
                NotNow::because_of_change(&error)?;
                let error = &error as &dyn Error;
                tracing::debug!(error, user_id, "a new hash was not stored");
            }
            Err(error) => {
                let error = &error as &dyn Error;
                tracing::debug!(error, user_id, "a new hash was dropped");
            }
        }
        Ok(())
    }

    fn unseal(&self, rehashed: &PasswordRehashed) -> Result<ReplaceHash, ReceiveError> {
        let PasswordRehashed { id, password_version, stamp, replaces, sealed_hash } = rehashed;
        let (id, password_version, stamp) = (*id, *password_version, *stamp);
        let password_hash = self.sealing_key.unseal(sealed_hash, id, password_version)?;
        if !password_hash.is_argon2id() {
            return Err(ReceiveError::NotAHash);
        }
        let replaces = replaces.clone();
        Ok(ReplaceHash { id, password_version, stamp, replaces, password_hash })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_bus::{Call, TestBus, Trouble, panics_once};
    use super::super::test_repository::{TestRepository, create_as};
    use super::*;
    use crate::actors::test_repository::access;
    use contract::{SealedHash, UserId};
    use shared::bus::{Bus, Destination, Message, Outgoing};
    use shared::hashing::PasswordHash;
    use std::time::Duration;
    use testkit::wait::until;

    fn receiver(repository: &TestRepository, bus: &Arc<dyn Bus>) -> Mailbox<RehashReceiver> {
        let (mailbox, key) = (repository.mailbox.clone(), Arc::clone(&repository.key));
        let health = repository.health.clone();
        let receiver = RehashReceiver::new(access(repository, bus), mailbox, key, health);
        Mailbox::start(&repository.health, 1, |_| receiver)
    }

    fn sealed(repository: &TestRepository, id: UserId, hash: &str) -> SealedHash {
        repository.key.seal(&PasswordHash::from_phc(hash), id, 1)
    }

    fn rehashed(repository: &TestRepository, id: UserId, sealed_hash: SealedHash) -> Outgoing {
        let (stamp, replaces) = (None, None);
        let command = PasswordRehashed { id, password_version: 1, stamp, replaces, sealed_hash };
        Codec::new(Arc::clone(&repository.key)).encode_rehash(&command)
    }

    /// Sends messages until the last one is stored: messages to a queue that is not declared yet
    /// are lost.
    async fn until_stored(repository: &TestRepository, bus: &dyn Bus, messages: &[Outgoing]) {
        until("the hash is stored", Duration::from_secs(10), async || {
            bus.publish(messages.to_vec()).await.unwrap();
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
        let to = Destination::Queue(REHASH_QUEUE.into());
        let message = Message { body: b"no JSON".as_slice().into(), ..Message::default() };
        let of = |id, hash| sealed(&repository, id, hash);
        let messages = [
            Outgoing { to, message },
            rehashed(&repository, anna, of(anna, "no hash")),
            rehashed(&repository, anna, of(UserId(9), "$argon2id$other")),
            rehashed(&repository, anna, of(anna, "$argon2id$new")),
        ];
        until_stored(&repository, &*bus, &messages).await;
    }

    #[actix::test]
    async fn after_a_panic_new_hashes_are_received_all_the_same() {
        let bus: Arc<dyn Bus> =
            TestBus::new(panics_once(|call| matches!(call, Call::Subscribe(_))));
        let repository = TestRepository::start().await;
        let anna = create_as(&repository, "anna").await.user.id;
        let _receiver = receiver(&repository, &bus);
        let new = sealed(&repository, anna, "$argon2id$new");
        until_stored(&repository, &*bus, &[rehashed(&repository, anna, new)]).await;
        let failed = "receiving new hashes: panicked: as the test wants it";
        assert_eq!(repository.health.degraded(), [failed]);
    }
}
