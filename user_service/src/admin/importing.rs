//! Creating many users with the hashes of another system.

use std::time::Duration;

use contract::UserId;
use futures_util::future::join_all;
use shared::actors::{AskError, ask};
use shared::admin::CommandError;
use shared::hashing::PasswordHash;
use shared::identity::Username;
use tokio::time::{Instant, sleep};

use super::{AdminActors, Fate, NewUser, PAGE};
use crate::actors::user_reader::{FindCredentials, FindUserByName};
use crate::store::{Change, ChangeError, CreateUser};

/// How long a user waits for a place among the changes, before the whole command is refused.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(50);

impl AdminActors {
    /// All of them arrive at the writer at once, and so share a commit.
    ///
    /// # Errors
    /// At least one of them was neither created nor refused; the others may have been created.
    pub(super) async fn import(
        &self,
        users: Vec<NewUser>,
        is_dry_run: bool,
    ) -> Result<Vec<Fate>, CommandError> {
        if users.len() > usize::from(PAGE) {
            let why = format!("a command creates at most {PAGE} users");
            return Err(CommandError::Refused(why));
        }
        let fates = join_all(users.iter().map(|user| self.import_one(user, is_dry_run))).await;
        fates.into_iter().collect()
    }

    async fn import_one(&self, user: &NewUser, is_dry_run: bool) -> Result<Fate, CommandError> {
        let username = match Username::parse(&user.username) {
            Ok(username) => username,
            Err(error) => return Ok(Fate::Refused(format!("the name {error}"))),
        };
        let hash = match PasswordHash::take_over(&user.password_hash) {
            Ok(hash) => hash,
            Err(error) => return Ok(Fate::Refused(format!("the hash {error}"))),
        };
        loop {
            if !is_dry_run && self.create(&username, &hash).await?.is_some() {
                return Ok(Fate::Created);
            }
            match self.compare(&username, &hash).await? {
                Some(fate) => return Ok(fate),
                None if is_dry_run => return Ok(Fate::Created),
                // The user was deleted since: the name is free again.
                None => {}
            }
        }
    }

    /// The id of the new user, if the name was free.
    pub(super) async fn create(
        &self,
        username: &Username,
        hash: &PasswordHash,
    ) -> Result<Option<UserId>, CommandError> {
        let give_up_at = Instant::now() + PATIENCE;
        loop {
            let create = CreateUser {
                username: username.clone(),
                password_hash: hash.clone(),
                idempotency: None,
                traceparent: None,
            };
            let error = match ask(&self.repository, Change::Create(create)).await {
                Ok(Ok(created)) => return Ok(Some(created.user.id)),
                Ok(Err(ChangeError::NameTaken)) => return Ok(None),
                Ok(Err(error @ ChangeError::TooManyWait)) => error.into(),
                Err(error @ AskError::Full(_)) => error.into(),
                Ok(Err(error)) => return Err(error.into()),
                Err(error) => return Err(error.into()),
            };
            if Instant::now() >= give_up_at {
                return Err(error);
            }
            sleep(PAUSE).await;
        }
    }

    /// What is there under this name, if anything is.
    async fn compare(
        &self,
        username: &Username,
        hash: &PasswordHash,
    ) -> Result<Option<Fate>, CommandError> {
        let name = FindUserByName(username.as_shown().to_owned());
        let found = ask(&self.reader, name).await??;
        let Some(user) = found else { return Ok(None) };
        let found = ask(&self.reader, FindCredentials(user.id)).await??;
        let fate = |is_same| if is_same { Fate::Present } else { Fate::Taken };
        Ok(found.map(|found| fate(found.password_hash == *hash)))
    }
}
