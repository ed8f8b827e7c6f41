//! The paths of this service, one use case a file. Handlers own nothing: they parse, send, and
//! translate the answer.

mod answers;
mod create_user;
mod delete_user;
mod list_users;
mod openapi;
mod problems;
mod read_user;
mod update_user;
mod user_path;

use std::sync::Arc;

use actix_web::web;
use shared::actors::Mailbox;
use shared::hashing::PasswordHasher;
use shared::http::{IfMatch, Problem, ProblemKind, get_or_head, resource};
use shared::identity::PasswordPolicy;
use shared::secrets::SealingKeys;

use crate::actors::{UserReader, UserRepository};

pub use openapi::document;

/// Whom the handlers of one worker ask, and by which rules.
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
    /// What a new password must be like.
    pub policy: PasswordPolicy,
    /// Changes need an `If-Match`.
    pub requires_if_match: bool,
}

impl Api {
    fn check_if_match(&self, if_match: &IfMatch) -> Result<(), Problem> {
        if self.requires_if_match && !if_match.is_present() {
            let detail = "send the ETag of the user as you have read it in If-Match";
            return Err(Problem::new(ProblemKind::PreconditionRequired, detail));
        }
        Ok(())
    }
}

/// Adds the paths.
pub fn configure(api: Api, config: &mut web::ServiceConfig) {
    let users = resource("/users", "GET, HEAD, POST")
        .route(web::route().guard(get_or_head()).to(list_users::list_users))
        .route(web::post().to(create_user::create_user));
    let user = resource("/users/{user_id}", "GET, HEAD, PUT, DELETE")
        .route(web::route().guard(get_or_head()).to(read_user::read_user))
        .route(web::put().to(update_user::update_user))
        .route(web::delete().to(delete_user::delete_user));
    config.app_data(web::Data::new(api)).service(user).service(users);
}
