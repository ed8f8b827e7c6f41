//! The paths of this service, one use case per file. Handlers hold no state: they parse, send, and
//! translate the answer.

mod access;
mod bodies;
mod console;
mod create_user;
mod delete_user;
mod end_sessions;
mod internal_sync;
mod list_users;
mod openapi;
mod parsing;
mod password_reset;
mod problems;
mod read_user;
mod reset_token;
mod routes;
mod update_user;

use std::sync::Arc;

use shared::actors::{Mailbox, ask};
use shared::audit::AuditTrail;
use shared::bus::cloud_event::Codec;
use shared::clock::Clock;
use shared::hashing::{HashPassword, PasswordHash, PasswordHasher};
use shared::http::{ClientPresence, GuessLimit, Problem};
use shared::identity::{Password, PasswordBlocklist, PasswordPolicy};
use shared::secrets::SealingKeys;

use crate::actors::sync_responder::DirectQuestions;
use crate::actors::{UserReader, UserRepository};

pub use access::Access;
pub use console::{Console, configure as configure_console};
pub use openapi::document;
pub use routes::configure;

/// The actors that one worker's handlers ask, and the rules that they apply.
#[derive(Clone)]
pub struct Api {
    /// Writes.
    pub repository: Mailbox<UserRepository>,
    /// Reads, on this worker's own thread.
    pub reader: Mailbox<UserReader>,
    /// Hashes, on threads that all workers share.
    pub hasher: Mailbox<PasswordHasher>,
    /// Computes fingerprints of requests with an `Idempotency-Key`.
    pub sealing_key: Arc<SealingKeys>,
    /// Limits the guessing of current passwords.
    pub guesses: GuessLimit,
    /// Writes down who did what.
    pub audit: AuditTrail,
    /// Decides who may do what.
    pub access: Access,
    /// Tells the time.
    pub clock: Clock,
    /// How long a reset token can be used, in seconds.
    pub reset_lifetime_s: i64,
    /// The length of a new password.
    pub policy: PasswordPolicy,
    /// Passwords that are refused.
    pub blocklist: PasswordBlocklist,
    /// Changes require an `If-Match`.
    pub requires_if_match: bool,
    /// Takes the questions of followers that come over HTTP.
    pub questions: DirectQuestions,
    /// Authenticates and decodes them.
    pub codec: Codec,
}

impl Api {
    /// Hashes a new password, unless its client goes away while too many wait.
    async fn hash(
        &self,
        client: &ClientPresence,
        password: Password,
    ) -> Result<PasswordHash, Problem> {
        client.hashed(async { Ok(ask(&self.hasher, HashPassword(password)).await??) }).await
    }
}
