//! The reader of one HTTP worker.
//!
//! **Owns** one reader of the database.
//!
//! **Promises** to return everything that was committed before it was asked. It runs on its
//! worker's own thread, so a question is a local message without a thread switch.
//!
//! **When full** refuses at once: 503 with `Retry-After`.
//!
//! **When it dies** the worker's requests fail with 500. If the reader cannot be opened, the next
//! request tries again.

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler};
use contract::UserId;
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::clock::Clock;
use shared::idempotency::IdempotentRequest;
use shared::identity::Username;
use tokio::sync::OnceCell;

use crate::domain::{Credentials, User, Written};
use crate::store::{ChangeError, Reader, Store, StoreError};

/// How many questions of one worker may wait.
const MAILBOX_CAPACITY: usize = 1024;

/// "Who has this id?"
#[derive(Clone, Copy, Debug)]
pub struct FindUser(pub UserId);

/// "Who has this name?" The name is not validated: a version with other rules may have accepted it.
#[derive(Clone, Debug)]
pub struct FindUserByName(pub String);

/// "Which user has this id, and what is the hash of their password?"
#[derive(Clone, Copy, Debug)]
pub struct FindCredentials(pub UserId);

/// "Which users come next?", in order of their ids.
#[derive(Clone, Copy, Debug)]
pub struct ListUsers {
    /// Only ids above this one.
    pub after: i64,
    /// At most this many users.
    pub limit: u32,
}

/// "Who is an administrator?", in order of their ids.
#[derive(Clone, Copy, Debug)]
pub struct ListAdmins;

/// "What was the first response to this request?" A repeated request needs no hashing then; the
/// writer makes the final decision.
#[derive(Clone, Debug)]
pub struct FindResponse(pub IdempotentRequest);

impl Command for FindUser {
    type Reply = Result<Option<User>, StoreError>;
}

impl Command for FindUserByName {
    type Reply = Result<Option<User>, StoreError>;
}

impl Command for FindCredentials {
    type Reply = Result<Option<Credentials>, StoreError>;
}

impl Command for ListUsers {
    type Reply = Result<Vec<User>, StoreError>;
}

impl Command for ListAdmins {
    type Reply = Result<Vec<User>, StoreError>;
}

impl Command for FindResponse {
    type Reply = Result<Option<Written>, ChangeError>;
}

/// The reader.
pub struct UserReader {
    /// Opened at the first question; shared with the questions in progress.
    reader: Rc<LazyReader>,
    /// Tells whether a stored response has expired.
    clock: Clock,
}

struct LazyReader {
    store: Arc<dyn Store>,
    opened: OnceCell<Box<dyn Reader>>,
}

impl LazyReader {
    async fn get(&self) -> Result<&dyn Reader, StoreError> {
        Ok(&**self.opened.get_or_try_init(|| self.store.open_reader()).await?)
    }
}

impl UserReader {
    /// Starts it on this thread.
    pub fn launch(store: Arc<dyn Store>, clock: Clock, health: &Health) -> Mailbox<Self> {
        let reader = Rc::new(LazyReader { store, opened: OnceCell::new() });
        Mailbox::start(health, MAILBOX_CAPACITY, |_| Self { reader, clock })
    }
}

impl Actor for UserReader {
    type Context = Context<Self>;
}

impl Handler<Ask<FindUser>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindUser>, _: &mut Self::Context) {
        let reader = Rc::clone(&self.reader);
        ask.answer_later(async move |FindUser(id)| reader.get().await?.find_user(id).await);
    }
}

impl Handler<Ask<FindUserByName>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindUserByName>, _: &mut Self::Context) {
        let reader = Rc::clone(&self.reader);
        ask.answer_later(async move |FindUserByName(name)| {
            let reader = reader.get().await?;
            for key in Username::lookup_keys(&name) {
                if let Some(found) = reader.find_user_by_key(&key).await? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        });
    }
}

impl Handler<Ask<FindCredentials>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindCredentials>, _: &mut Self::Context) {
        let reader = Rc::clone(&self.reader);
        ask.answer_later(async move |FindCredentials(id)| {
            reader.get().await?.find_credentials(id).await
        });
    }
}

impl Handler<Ask<ListUsers>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<ListUsers>, _: &mut Self::Context) {
        let reader = Rc::clone(&self.reader);
        ask.answer_later(async move |ListUsers { after, limit }| {
            reader.get().await?.list_users(after, limit).await
        });
    }
}

impl Handler<Ask<ListAdmins>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<ListAdmins>, _: &mut Self::Context) {
        let reader = Rc::clone(&self.reader);
        ask.answer_later(async move |ListAdmins| reader.get().await?.list_admins().await);
    }
}

impl Handler<Ask<FindResponse>> for UserReader {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindResponse>, _: &mut Self::Context) {
        let (reader, now_ms) = (Rc::clone(&self.reader), self.clock.unix_ms());
        ask.answer_later(async move |FindResponse(request)| {
            reader.get().await?.find_response(&request, now_ms).await
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::{TestRepository, create_as};
    use super::*;
    use futures_util::future::join_all;
    use shared::actors::ask;

    fn launch(repository: &TestRepository) -> Mailbox<UserReader> {
        UserReader::launch(Arc::clone(&repository.store), Clock::system(), &Health::default())
    }

    #[actix::test]
    async fn what_is_committed_is_seen_by_all_who_ask_from_then_on() {
        let repository = TestRepository::start().await;
        let reader = launch(&repository);
        for n in 1..=5 {
            assert_eq!(ask(&reader, FindUser(UserId(n))).await.unwrap().unwrap(), None);
            let id = create_as(&repository, &format!("user{n}")).await.user.id;
            let found = join_all((0..20).map(|_| ask(&reader, FindUser(id)))).await;
            assert!(found.into_iter().all(|user| user.unwrap().unwrap().unwrap().id == id), "{n}");
        }
    }
}
