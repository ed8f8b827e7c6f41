//! Takes hashes that auth_service made anew at a login.
//!
//! **Owns** nothing: it hands on.
//!
//! **Promises** nothing either: the next login makes a lost hash again.
//!
//! **When full**, that is when the writer is, the hash is dropped.
//!
//! **When it dies** old hashes stay as they are.

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use contract::PasswordRehashed;
use contract::topology::REHASH_QUEUE;
use shared::actors::{Mailbox, ask};
use shared::bus::{Bus, Message};

use super::bus_loop::{consume, shared_queue};
use super::user_repository::{ReplaceHash, UserRepository};

/// How many messages may be on their way to it.
const PREFETCH: u16 = 16;

/// The receiver.
pub struct RehashReceiver {
    bus: Arc<dyn Bus>,
    repository: Mailbox<UserRepository>,
}

impl RehashReceiver {
    /// Hands what comes by the bus to the writer.
    pub fn new(bus: Arc<dyn Bus>, repository: Mailbox<UserRepository>) -> Self {
        Self { bus, repository }
    }
}

impl Actor for RehashReceiver {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let repository = self.repository.clone();
        let handle = async move |message: Message| hand_on(&repository, &message).await;
        let queue = shared_queue(REHASH_QUEUE, PREFETCH);
        let consuming = consume(Arc::clone(&self.bus), queue, "taking new hashes", handle);
        context.spawn(consuming.into_actor(self).map(|(), _, _| ()));
    }
}

async fn hand_on(repository: &Mailbox<UserRepository>, message: &Message) {
    let rehashed: PasswordRehashed = match serde_json::from_slice(&message.body) {
        Ok(rehashed) => rehashed,
        Err(error) => {
            tracing::warn!(%error, message_id = message.id, "a new hash cannot be decoded");
            return;
        }
    };
    let user_id = rehashed.id.0;
    match ask(repository, ReplaceHash(rehashed)).await {
        Ok(Ok(is_kept)) => tracing::debug!(user_id, is_kept, "a new hash came"),
        Ok(Err(error)) => tracing::warn!(%error, user_id, "a new hash was refused"),
        Err(error) => tracing::debug!(%error, user_id, "a new hash was dropped"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::user_repository::test_repository::{TestRepository, create_as};
    use super::*;
    use shared::bus::{Destination, InProcessBus, Outgoing};
    use shared::hashing::PasswordHash;
    use std::time::Duration;
    use testkit::wait::until;

    #[actix::test]
    async fn a_message_that_cannot_be_decoded_does_not_stop_the_next() {
        let (repository, bus) = (TestRepository::start(), Arc::new(InProcessBus::new()));
        let anna = create_as(&repository, "anna").await.user;
        RehashReceiver::new(bus.clone(), repository.addr.clone()).start();
        let new = PasswordHash::from_phc("$argon2id$new");
        let sealed_hash = repository.key.seal(&new, anna.id, 1);
        let rehashed = PasswordRehashed { id: anna.id, password_version: 1, sealed_hash };
        let bodies = [b"no JSON".to_vec(), serde_json::to_vec(&rehashed).unwrap()];
        let send = |body: Vec<u8>| Outgoing {
            to: Destination::Queue(REHASH_QUEUE.into()),
            message: Message { body: body.into(), ..Message::default() },
        };
        until("it is kept", Duration::from_secs(5), async || {
            // Messages to a queue that is not declared yet are gone.
            bus.publish(bodies.iter().cloned().map(send).collect()).await.unwrap();
            (repository.records().len() > 1).then_some(())
        })
        .await;
    }
}
