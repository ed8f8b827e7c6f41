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
use shared::bus::Delivery;

use super::bus_loop::{BusAccess, consume, shared_queue};
use super::user_repository::{ReplaceHash, UserRepository};

/// How many messages may be on their way to it.
const PREFETCH: u16 = 16;

/// The receiver.
pub struct RehashReceiver {
    access: BusAccess,
    repository: Mailbox<UserRepository>,
}

impl RehashReceiver {
    /// Hands what comes by the bus to the writer.
    pub fn new(access: BusAccess, repository: Mailbox<UserRepository>) -> Self {
        Self { access, repository }
    }
}

impl Actor for RehashReceiver {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let repository = self.repository.clone();
        let (bus, access) = (Arc::clone(&self.access.bus), self.access.clone());
        let handle = async move |delivery: &Delivery| match access.codec.decode_rehash(delivery) {
            Ok(rehashed) => hand_on(&repository, rehashed).await,
            Err(error) => access.bury(delivery, &error),
        };
        let queue = shared_queue(REHASH_QUEUE, PREFETCH);
        let consuming = consume(bus, queue, "taking new hashes", handle);
        context.spawn(consuming.into_actor(self).map(|(), _, _| ()));
    }
}

async fn hand_on(repository: &Mailbox<UserRepository>, rehashed: PasswordRehashed) {
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
    use actix::Arbiter;
    use prometheus_client::metrics::counter::Counter;
    use shared::actors::Health;
    use shared::bus::cloud_event::Codec;
    use shared::bus::{Bus, DeadLetters, Destination, InProcessBus, Message, Outgoing};
    use shared::hashing::PasswordHash;
    use std::time::Duration;
    use testkit::wait::until;

    #[actix::test]
    async fn a_message_that_cannot_be_decoded_does_not_stop_the_next() {
        let (repository, bus) = (TestRepository::start(), Arc::new(InProcessBus::new()));
        let anna = create_as(&repository, "anna").await.user;
        let codec = Codec::new(Arc::clone(&repository.key));
        let (here, health) = (Arbiter::current(), Health::default());
        let dead_letters = DeadLetters::launch(&here, bus.clone(), &health, Counter::default());
        let access = BusAccess { bus: bus.clone(), codec: codec.clone(), dead_letters };
        RehashReceiver::new(access, repository.addr.clone()).start();
        let new = PasswordHash::from_phc("$argon2id$new");
        let sealed_hash = repository.key.seal(&new, anna.id, 1);
        let rehashed = PasswordRehashed { id: anna.id, password_version: 1, sealed_hash };
        let to = Destination::Queue(REHASH_QUEUE.into());
        let message = Message { body: b"no JSON".as_slice().into(), ..Message::default() };
        let batch = [Outgoing { to, message }, codec.encode_rehash(&rehashed)];
        until("it is kept", Duration::from_secs(5), async || {
            // Messages to a queue that is not declared yet are gone.
            bus.publish(batch.to_vec()).await.unwrap();
            (repository.records().len() > 1).then_some(())
        })
        .await;
    }
}
