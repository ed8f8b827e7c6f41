//! The paths of this service, one use case a file. Handlers own nothing: they parse, send, and
//! translate the answer.

mod bodies;
mod create_user;
mod delete_user;
mod list_users;
mod openapi;
mod parsing;
mod problems;
mod read_user;
mod routes;
mod update_user;

use std::sync::Arc;

use shared::actors::Mailbox;
use shared::hashing::PasswordHasher;
use shared::http::GuessLimit;
use shared::identity::{PasswordBlocklist, PasswordPolicy};
use shared::secrets::SealingKeys;

use crate::actors::{UserReader, UserRepository};

pub use openapi::document;
pub use routes::configure;

/// What the handlers of one worker ask, and by which rules.
#[derive(Clone)]
pub struct Api {
    /// Writes.
    pub repository: Mailbox<UserRepository>,
    /// Reads, on this worker's own thread.
    pub reader: Mailbox<UserReader>,
    /// Hashes, by threads that all workers share.
    pub hasher: Mailbox<PasswordHasher>,
    /// Makes fingerprints of requests with an `Idempotency-Key`.
    pub sealing_key: Arc<SealingKeys>,
    /// Slows the guessing of current passwords down.
    pub guesses: GuessLimit,
    /// What a new password must be like.
    pub policy: PasswordPolicy,
    /// What it must not be.
    pub blocklist: PasswordBlocklist,
    /// Changes need an `If-Match`.
    pub requires_if_match: bool,
}
