//! Creating one user with a password, as `POST /users` does.

use std::fmt::Display;

use secrecy::SecretString;
use shared::actors::ask;
use shared::admin::CommandError;
use shared::audit::AuditRecord;
use shared::hashing::HashPassword;
use shared::identity::{Password, Username};

use super::{AdminActors, Creation, ListedUser};

impl AdminActors {
    /// # Errors
    /// The user was neither created nor refused.
    pub(super) async fn create_one(
        &self,
        username: &str,
        password: &SecretString,
        record: &mut AuditRecord,
    ) -> Result<Creation, CommandError> {
        let refused = |record: &mut AuditRecord, what: &str, why: &dyn Display| {
            let why = format!("the {what} {why}");
            record.refused(&why);
            Ok(Creation::Refused(why))
        };
        let username = match Username::parse(username) {
            Ok(username) => username,
            Err(error) => return refused(record, "name", &error),
        };
        record.claims(username.key());
        let password = match Password::parse(password, self.policy) {
            Ok(password) => password,
            Err(error) => return refused(record, "password", &error),
        };
        if let Err(error) = self.blocklist.check(&password, username.key()) {
            return refused(record, "password", &error);
        }
        let hash = ask(&self.hasher, HashPassword(password)).await??;
        match self.create(&username, &hash).await? {
            Some(id) => {
                record.about(id);
                let username = username.as_shown().to_owned();
                Ok(Creation::Created(ListedUser { id: id.0, username, password_hash: None }))
            }
            None => refused(record, "name", &"is taken"),
        }
    }
}
