//! Creating one user with a password, as `POST /users` does.

use secrecy::SecretString;
use shared::actors::ask;
use shared::hashing::HashPassword;
use shared::identity::{Password, Username};

use super::{AdminActors, Creation, ListedUser, told};

impl AdminActors {
    /// # Errors
    /// The user was neither created nor refused.
    pub(super) async fn create_one(
        &self,
        username: &str,
        password: &SecretString,
    ) -> Result<Creation, String> {
        let refused = |what: &str, why: &dyn std::fmt::Display| {
            Ok(Creation::Refused(format!("the {what} {why}")))
        };
        let username = match Username::parse(username) {
            Ok(username) => username,
            Err(error) => return refused("name", &error),
        };
        let password = match Password::parse(password, self.policy) {
            Ok(password) => password,
            Err(error) => return refused("password", &error),
        };
        if let Err(error) = self.blocklist.check(&password, username.key()) {
            return refused("password", &error);
        }
        let hash = ask(&self.hasher, HashPassword(password)).await.map_err(told)?.map_err(told)?;
        match self.create(&username, &hash).await? {
            Some(id) => Ok(Creation::Created(ListedUser {
                id: id.0,
                username: username.as_shown().to_owned(),
                password_hash: None,
            })),
            None => refused("name", &"is taken"),
        }
    }
}
